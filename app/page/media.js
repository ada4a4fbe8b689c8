/** Pictures and videos as blobs: read from a job's output, shown, measured. */

const EXTENSIONS = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "video/mp4": "mp4",
};
const urls = new WeakMap();

/** An object URL of a blob, the same one each time. */
export function urlOf(blob) {
  if (!urls.has(blob)) urls.set(blob, URL.createObjectURL(blob));
  return urls.get(blob);
}

/** Let go of a blob's object URL, which keeps it in memory. */
export function release(blob) {
  URL.revokeObjectURL(urls.get(blob));
  urls.delete(blob);
}

export function isVideo(blob) {
  return blob.type.startsWith("video/");
}

export function extensionOf(blob) {
  return EXTENSIONS[blob.type] ?? "bin";
}

/** A blob as a data URL. */
export function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/**
 * What a job made.
 * @returns {Promise<{blob: Blob, seed: number, nsfw: boolean}[]>}
 */
export async function readOutput(api, output) {
  if (!output.images?.length) {
    const { seed, nsfw } = output;
    return [{ blob: fromBase64(output.body, output.content_type), seed, nsfw }];
  }
  return Promise.all(
    output.images.map(async ({ url, seed, nsfw }) => ({ blob: await read(api, url), seed, nsfw })),
  );
}

/** Width and height of a picture or video. */
export async function measure(blob) {
  if (isVideo(blob)) return measureVideo(blob);
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

async function read(api, url) {
  const [, type, base64] = /^data:([^;,]+);base64,(.*)$/s.exec(url) ?? [];
  if (type) return fromBase64(base64, type);
  return (await api.request(ownPath(url))).blob();
}

/** The service may know itself by another name than this page does: only the path counts. */
export function ownPath(url) {
  const index = url.indexOf("/stream/");
  return index < 0 ? url : url.slice(index + 1);
}

function fromBase64(text, type) {
  const binary = atob(text);
  return new Blob([Uint8Array.from(binary, (character) => character.charCodeAt(0))], { type });
}

function measureVideo(blob) {
  return new Promise((resolve, reject) => {
    const video = document.createElement("video");
    video.onloadedmetadata = () => resolve({ width: video.videoWidth, height: video.videoHeight });
    video.onerror = () => reject(new Error("This browser cannot play the video."));
    video.src = urlOf(blob);
  });
}
