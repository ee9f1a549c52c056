// Calls to the server that sent this page: unary calls in JSON, by the Connect protocol.

const SERVICE = "/vaeserve.v1.VaeService/";
const TIMEOUT_MS = 15000;
const RETRIES = 3; // of a call whose refusal says when to retry
const SAYS = {
  resource_exhausted: "The server is busy.",
  unavailable: "The server is not ready: it is loading or shutting down.",
  deadline_exceeded: "The answer took too long.",
  unauthenticated: "The server wants an API key.",
  permission_denied: "The server does not let this page do that.",
  not_found: "The server has no such model.",
  invalid_argument: "The server refused the request.",
};

export class Problem extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

let key = "";
let listener = () => {};

/** Send this API key with every further call. The key is kept only in this page's memory. */
export function useKey(text) {
  key = text;
}

/** Call back for every answer with {method, model, milliseconds, queueSeconds, runSeconds, batchRows}. */
export function onServed(callback) {
  listener = callback;
}

/** Make a call and return its response. Throws Problem. */
export async function call(method, request) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await send(method, request);
    if (answer.ok) return answer.body;
    const wait = answer.retryAfterSeconds;
    if (wait === null || attempt === RETRIES) throw problemOf(answer);
    await new Promise((done) => setTimeout(done, wait * 1000));
  }
}

async function send(method, request) {
  const headers = { "content-type": "application/json", "connect-protocol-version": "1", "connect-timeout-ms": `${TIMEOUT_MS}` };
  if (key) headers.authorization = `Bearer ${key}`;
  const started = performance.now();
  let response, body;
  try {
    response = await fetch(SERVICE + method, {
      method: "POST", headers, body: JSON.stringify(request), signal: AbortSignal.timeout(TIMEOUT_MS + 2000),
    });
    body = await response.json();
  } catch (error) {
    if (response && !response.ok) throw new Problem("unknown", `The server answered HTTP ${response.status}.`);
    if (error.name === "TimeoutError") throw new Problem("deadline_exceeded", SAYS.deadline_exceeded);
    throw new Problem("away", "The server does not answer. Is it running, and is the network there?");
  }
  if (response.ok) {
    const number = (name) => Number(response.headers.get(`trailer-vae-${name}`) ?? NaN);
    listener({
      method, model: body.model ?? body.summary?.model, milliseconds: performance.now() - started,
      queueSeconds: number("queue-seconds"), runSeconds: number("run-seconds"), batchRows: number("batch-rows"),
    });
  }
  const retry = (body.details ?? []).find((detail) => detail.type === "google.rpc.RetryInfo")?.debug?.retryDelay;
  return { ok: response.ok, body, retryAfterSeconds: retry ? parseFloat(retry) : null };
}

function problemOf({ body }) {
  const says = SAYS[body.code] ?? "The server could not answer.";
  return new Problem(body.code ?? "unknown", body.message ? `${says} It says: ${body.message}` : says);
}

/** A tensor's elements and shape. */
export function read(tensor) {
  const text = atob(tensor.data);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const shape = tensor.shape.map(Number);
  return { shape, values: tensor.dtype === "DATA_TYPE_UINT8" ? bytes : new Float32Array(bytes.buffer) };
}

/** Bytes or floats as a tensor. */
export function tensor(values, shape) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return { dtype: values instanceof Uint8Array ? "UINT8" : "FLOAT32", shape, data: btoa(text) };
}
