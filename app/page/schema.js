/**
 * What the loaded pipeline takes, read from the service's OpenAPI document.
 *
 * @typedef {object} Field
 * @property {string} name of the parameter
 * @property {"text"|"integer"|"number"|"boolean"|"choice"|"image"} kind
 * @property {string} label
 * @property {string} help
 * @property {*} initial what to begin with, undefined without such a value
 * @property {*} default what the service takes where a request says nothing; undefined without one
 * @property {boolean} required
 * @property {number} [min] hard bounds, of the schema
 * @property {number} [max]
 * @property {number} [step]
 * @property {[number, number]} [range] of the slider: the hard bounds, or a useful part of them
 * @property {number} [maxLength]
 * @property {string[]} [choices]
 */

/** The service has one model: there is nothing to choose. */
const HIDDEN = new Set(["model_id"]);
/** Shown at once; all others are folded away. */
const MAIN = [
  "width",
  "height",
  "num_inference_steps",
  "guidance_scale",
  "strength",
  "fps",
  "motion_bucket_id",
  "seed",
];
const SIZE_STEP = 8;
/** A slider that spans more than this many times its first value is no longer usable. */
const WIDEST = 8;

/** The page's own requests would be refused. */
class DoorsShut extends Error {
  title = "This page cannot work here";

  constructor() {
    super("It sends its requests through the doors livepeer and runpod: the service's DOORS leaves one out.");
  }
}

/** The pipeline `name` of an OpenAPI document. */
export function describePipeline(document, name) {
  const path = `/${name}`;
  if (!(path in document.paths && "/run" in document.paths)) throw new DoorsShut();
  const operation = document.paths[path].post;
  const [[contentType, body]] = Object.entries(operation.requestBody.content);
  const schema = resolve(document, body.schema);
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties)
    .map(([field, property]) => [field, resolve(document, property)])
    .filter(([field, property]) => !HIDDEN.has(field) && !property["x-forced"])
    .map(([field, property]) => describeField(field, property, required));
  return {
    name,
    title: operation.summary,
    description: operation.description,
    isMultipart: contentType.startsWith("multipart/"),
    example: body.example ?? {},
    image: fields.find((field) => field.kind === "image"),
    prompt: fields.find((field) => field.name === "prompt"),
    main: MAIN.map((main) => fields.find((field) => field.name === main)).filter(Boolean),
    more: fields.filter(
      ({ name: field, kind }) => kind !== "image" && field !== "prompt" && !MAIN.includes(field),
    ),
  };
}

/** Every field's value before anything was entered; "" stands for nothing. */
export function initialValues(pipeline) {
  return Object.fromEntries(fieldsOf(pipeline).map(({ name, initial }) => [name, initial ?? ""]));
}

/** What a request says: the values that differ from the service's defaults. */
export function toInput(pipeline, values) {
  const said = fieldsOf(pipeline).filter((field) => isSaid(field, values[field.name]));
  return Object.fromEntries(said.map(({ name }) => [name, values[name]]));
}

/** The values behind a request: what it said, and the service's defaults for all else. */
export function fromInput(pipeline, input) {
  const defaults = fieldsOf(pipeline).map((field) => [field.name, field.default ?? ""]);
  return { ...Object.fromEntries(defaults), ...input };
}

function fieldsOf({ prompt, main, more }) {
  return [prompt, ...main, ...more].filter(Boolean);
}

function isSaid(field, value) {
  if (field.name === "prompt") return true;
  const isCleared = value === "" && (field.kind === "integer" || field.kind === "number");
  return !isCleared && value !== (field.default ?? "");
}

function describeField(name, schema, required) {
  const field = {
    name,
    kind: kindOf(schema),
    label: labelOf(schema.title ?? name),
    help: schema.description ?? "",
    initial: startOf(schema),
    default: schema.default,
    required: required.has(name),
    maxLength: schema.maxLength,
    choices: schema.enum,
  };
  return field.kind === "integer" || field.kind === "number"
    ? { ...field, ...bounds(name, schema) }
    : field;
}

/** The loaded model may want other values than the API's defaults. */
function startOf(schema) {
  return schema["x-start"] ?? schema.default;
}

function kindOf(schema) {
  if (schema.format === "binary") return "image";
  if (schema.enum) return "choice";
  return { integer: "integer", number: "number", boolean: "boolean" }[schema.type] ?? "text";
}

/** "Num Inference Steps" is "Inference steps". */
function labelOf(title) {
  const words = title.replace(/_/g, " ").replace(/^num /i, "").toLowerCase();
  const spelled = words.replace(/\b(id|fps)\b/g, (word) => word.toUpperCase());
  return spelled[0].toUpperCase() + spelled.slice(1);
}

function bounds(name, schema) {
  const min = Math.max(schema.minimum ?? -Infinity, Number.MIN_SAFE_INTEGER);
  const max = Math.min(schema.maximum ?? Infinity, Number.MAX_SAFE_INTEGER);
  const isSize = name === "width" || name === "height";
  const step = isSize ? SIZE_STEP : (schema.multipleOf ?? (schema.type === "integer" ? 1 : 0.01));
  return { min, max, step, range: usefulRange(min, max, step, startOf(schema), isSize) };
}

/** The part of the bounds that a slider can offer; numbers beyond it may still be typed. */
function usefulRange(min, max, step, initial, isSize) {
  if (!initial) return [min, max];
  if (isSize) return [Math.max(min, initial / 2), Math.min(max, initial * 2)];
  const low = min < 0 && initial > 0 ? step : min;
  return [low, max - low > WIDEST * initial ? Math.min(max, nice(4 * initial)) : max];
}

/** The first of 1, 2, 3, 5 × 10ⁿ that is not below a number. */
function nice(number) {
  const magnitude = 10 ** Math.floor(Math.log10(number));
  const factor = [1, 2, 3, 5, 10].find((candidate) => candidate * magnitude >= number);
  return Number((factor * magnitude).toPrecision(6));
}

function resolve(document, schema) {
  if (schema.$ref) return resolve(document, document.components.schemas[schema.$ref.split("/").pop()]);
  const options = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (!options) return schema;
  const chosen = options.find((option) => option.type !== "null") ?? options[0];
  return { ...resolve(document, chosen), ...schema };
}
