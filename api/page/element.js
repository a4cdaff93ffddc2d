// Builds DOM nodes. Data enters only as text nodes, attributes and properties, never as markup,
// so nothing that a document contains can become part of the page.

/**
 * element("button.solid", { type: "button", onclick }, "Add")
 * Properties that begin with "on" are listeners; `data` is the dataset; the rest are attributes
 * (`true` sets an empty one, `false`, `null` and `undefined` set none).
 */
export function element(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  return furnish(document.createElement(tag), classes, properties, children);
}

/** The same for SVG: drawing("path", { d: "M0 0h1" }). */
export function drawing(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, properties, children);
}

function furnish(node, classes, properties, children) {
  if (classes.length) node.classList.add(...classes);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** "1 picture", "2 pictures", "1,234 pictures". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
