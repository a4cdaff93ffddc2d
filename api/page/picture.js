// Shows stored pictures. Thumbnails load when they come near the window; with a key they are
// fetched, since an `<img>` cannot send one. Once loaded, a picture is looked at to choose the
// tile under it: black line drawings vanish on a dark page, white ones on a light page.

import { imageSource, needsKey } from "./api.js";
import { element } from "./element.js";

const PROBE = 24;
const SMALL = 128;
const probe = Object.assign(document.createElement("canvas"), { width: PROBE, height: PROBE })
  .getContext("2d", { willReadFrequently: true });

const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    load(target, target.dataset.path);
  }
}, { rootMargin: "400px" });

/** An `<img>` of the stored picture at `path`, `width` pixels wide at most, or whole without it. */
export function picture(path, { alt, width = null }) {
  const address = width === null ? path : `${path}${path.includes("?") ? "&" : "?"}width=${width}`;
  const image = element("img", { alt, decoding: "async", draggable: "false", data: { path: address } });
  image.addEventListener("load", () => settle(image));
  image.addEventListener("error", () => image.classList.add("missing"));
  if (width === null) load(image, address);
  else if (needsKey()) near.observe(image);
  else Object.assign(image, { loading: "lazy", src: address });
  return image;
}

async function load(image, path) {
  try {
    image.src = await imageSource(path);
  } catch {
    image.classList.add("missing");
  }
}

function settle(image) {
  image.classList.add("loaded", ...looks(image));
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}

/** What matters for the tile: "small"; "cutout" when parts are see-through, and its ink. */
export function looks(image) {
  const found = image.naturalWidth <= SMALL && image.naturalHeight <= SMALL ? ["small"] : [];
  probe.clearRect(0, 0, PROBE, PROBE);
  probe.drawImage(image, 0, 0, PROBE, PROBE);
  const { data } = probe.getImageData(0, 0, PROBE, PROBE);
  let clear = 0, solid = 0, dark = 0, light = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 128) {
      clear += 1;
      continue;
    }
    solid += 1;
    const brightness = (0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2]) / 255;
    if (brightness < 0.25) dark += 1;
    else if (brightness > 0.85) light += 1;
  }
  if (clear < PROBE * PROBE * 0.02) return found;
  found.push("cutout");
  if (dark > solid * 0.1) found.push("dark-ink");
  else if (light > solid * 0.75) found.push("light-ink");
  return found;
}
