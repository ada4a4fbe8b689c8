/** Pictures drawn again: smaller, or in another format. */

import { isVideo, urlOf } from "./media.js";

/** More than that no service works on, unless its MAX_PIXELS says otherwise. */
const MOST_PIXELS = 2048 * 2048;
const THUMBNAIL_SIDE = 256;
const PATIENCE_MS = 3000;

/**
 * A picture to send.
 *
 * @typedef {object} Picture
 * @property {Blob} blob
 * @property {number} [width] unknown where this browser cannot read it
 * @property {number} [height]
 * @property {boolean} isScaled whether it was too large
 */

/**
 * A picture as it is sent: scaled down if no service works on so many pixels.
 * @returns {Promise<Picture>}
 */
export async function readPicture(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const scale = Math.sqrt(MOST_PIXELS / (width * height));
    if (scale >= 1) return { blob, width, height, isScaled: false };
    // A photo stays small; WebP, unlike JPEG, keeps what is transparent.
    const type = blob.type === "image/jpeg" ? "image/jpeg" : "image/webp";
    const size = { width: Math.floor(width * scale), height: Math.floor(height * scale) };
    return { blob: await draw(bitmap, size, type), ...size, isScaled: true };
  } catch {
    // What this browser cannot read is for the service to refuse, in its own words.
    return { blob, isScaled: false };
  }
}

/** A small picture of a picture or of a video's first frame; undefined where there can be none. */
export async function thumbnailOf(blob) {
  try {
    const drawable = isVideo(blob) ? await firstFrame(blob) : await createImageBitmap(blob);
    const { width, height } = sizeOf(drawable);
    const scale = Math.min(THUMBNAIL_SIDE / Math.max(width, height), 1);
    const size = { width: Math.ceil(width * scale), height: Math.ceil(height * scale) };
    return await draw(drawable, size, "image/webp");
  } catch {
    return undefined;
  }
}

/** A PNG of a picture, or of the moment that a video element shows. */
export async function toPng(source) {
  if (source instanceof Blob && source.type === "image/png") return source;
  const drawable = source instanceof Blob ? await createImageBitmap(source) : source;
  return draw(drawable, sizeOf(drawable), "image/png");
}

function draw(drawable, { width, height }, type) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(drawable, 0, 0, width, height);
  drawable.close?.();
  return new Promise((resolve, reject) => {
    const take = (blob) => (blob ? resolve(blob) : reject(new Error("The picture cannot be drawn.")));
    canvas.toBlob(take, type, 0.9);
  });
}

function sizeOf({ videoWidth, videoHeight, width, height }) {
  return { width: videoWidth ?? width, height: videoHeight ?? height };
}

function firstFrame(blob) {
  return new Promise((resolve, reject) => {
    const video = document.createElement("video");
    const fail = () => reject(new Error("This browser cannot play the video."));
    // A tab in the background may never be given a frame.
    setTimeout(fail, PATIENCE_MS);
    Object.assign(video, { muted: true, preload: "auto", onloadeddata: () => resolve(video), onerror: fail });
    video.src = urlOf(blob);
  });
}
