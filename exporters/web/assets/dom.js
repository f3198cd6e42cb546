// Elements out of names and texts. Whatever is text stays text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    } else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A table that is written anew only when its content is another one, so that selections and focus stay.
export class Rows {
  constructor(titles, label) {
    this.body = element("tbody");
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    this.table = element("table", { "aria-label": label }, element("thead", {}, head), this.body);
    this.written = null;
  }

  // rows: arrays of texts and nodes; content: what decides whether they changed
  show(content, rows) {
    const text = JSON.stringify(content);
    if (text === this.written) return;
    this.written = text;
    this.body.replaceChildren(
      ...rows(content).map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell ?? "")))),
    );
  }
}
