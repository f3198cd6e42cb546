// The exporter's JSON API; docs/exporter.md describes it.

// Without the user and password that the page's own address may have: fetch refuses those.
const BASE = new URL("api/v1/", location.origin + location.pathname);
const PATIENCE_MS = 20000;

export class HttpError extends Error {
  constructor(status) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

export async function get(name, parameters = {}) {
  const url = new URL(name, BASE);
  for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, value);
  const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new HttpError(answer.status);
  return answer.json();
}
