/** The same request for programs: as JSON, curl, Python and JavaScript. */

const LONGEST = 120;

/** JSON with its long strings (encoded media) cut short. */
export function readable(value) {
  return JSON.stringify(shorten(value), null, 2);
}

/** A copy of a JSON value whose long strings are cut. */
export function shorten(value) {
  if (typeof value === "string" && value.length > LONGEST) {
    return `${value.slice(0, 60)}… (${value.length} characters)`;
  }
  if (Array.isArray(value)) return value.map(shorten);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shorten(inner)]));
}

/**
 * Programs that send a request to the pipeline's own route.
 * @param {string} url of the route
 * @param {object} input parameters, the image apart
 * @param {boolean} isMultipart whether the route takes a form with an image
 * @param {boolean} needsToken whether the service asks for one
 */
export function snippets({ url, input, isMultipart, needsToken }) {
  const request = { url, input, isMultipart, needsToken };
  return { curl: curl(request), Python: python(request), JavaScript: javascript(request) };
}

function curl({ url, input, isMultipart, needsToken }) {
  const lines = [`curl ${quote(url)}`];
  if (needsToken) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  if (isMultipart) {
    lines.push(`-F image=@input.png`);
    // Unlike -F, it reads no meaning into `;`, `<` and `@`.
    for (const [name, value] of Object.entries(input)) lines.push(`--form-string ${quote(`${name}=${value}`)}`);
  } else {
    lines.push(`-H "Content-Type: application/json"`, `-d ${quote(JSON.stringify(input))}`);
  }
  // The answer holds the media: too much for a terminal.
  lines.push("-o answer.json");
  return lines.join(" \\\n  ");
}

function python({ url, input, isMultipart, needsToken }) {
  const headers = needsToken ? `\n    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},` : "";
  const body = isMultipart
    ? `\n    files={"image": open("input.png", "rb")},\n    data=${pythonValue(input)},`
    : `\n    json=${pythonValue(input)},`;
  return `import base64${needsToken ? "\nimport os" : ""}

import requests

response = requests.post(
    ${JSON.stringify(url)},${headers}${body}
    timeout=600,
)
response.raise_for_status()
for media in response.json()["images"]:
    header, data = media["url"].split(",")
    suffix = header.split("/")[1].split(";")[0]
    with open(f"{media['seed']}.{suffix}", "wb") as file:
        file.write(base64.b64decode(data))
`;
}

function javascript({ url, input, isMultipart, needsToken }) {
  const authorization = "Authorization: `Bearer ${token}`";
  const headers = [
    ...(needsToken ? [authorization] : []),
    ...(isMultipart ? [] : ['"Content-Type": "application/json"']),
  ];
  const head = headers.length ? `\n  headers: { ${headers.join(", ")} },` : "";
  const form = `const form = new FormData();
form.append("image", image); // a File or Blob
for (const [name, value] of Object.entries(${indent(JSON.stringify(input, null, 2), 0)})) {
  form.append(name, value);
}
`;
  const body = isMultipart ? "form" : `JSON.stringify(${indent(JSON.stringify(input, null, 2), 2)})`;
  return `${isMultipart ? form : ""}const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",${head}
  body: ${body},
});
if (!response.ok) throw new Error(await response.text());
const { images } = await response.json(); // images[0].url is a data URL
`;
}

function pythonValue(input) {
  const entries = Object.entries(input).map(
    ([name, value]) => `        ${JSON.stringify(name)}: ${pythonLiteral(value)},`,
  );
  return entries.length ? `{\n${entries.join("\n")}\n    }` : "{}";
}

function pythonLiteral(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}

/** A word of a POSIX shell. */
function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function indent(text, spaces) {
  return text.replaceAll("\n", `\n${" ".repeat(spaces)}`);
}
