// Where in the page one is: what follows the # in its address.

export function linkTo(container) {
  return `#/container?${new URLSearchParams({ id: container.id })}`;
}

export function place() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  return { page: path.replace(/^\/+/, "") || "overview", parameters: new URLSearchParams(query) };
}

let overview = "#/";

// Change the address without a step in the browser's history: for what is typed into a filter.
export function remember(parameters) {
  const kept = Object.entries(parameters).filter(([, value]) => value);
  const query = new URLSearchParams(kept).toString();
  overview = `#/${query ? `?${query}` : ""}`;
  history.replaceState(null, "", overview);
}

// The overview as it was sorted and filtered last.
export function home() {
  return overview;
}
