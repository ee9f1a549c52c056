// The playground page: connects its controls to calls, and shows their answers.

import { Problem, call, onServed, read, tensor, useKey } from "./api.js";
import { map } from "./map.js";
import { nearest, plane, row, slerp, survey } from "./maths.js";
import { pad } from "./pad.js";
import { button, item, paint } from "./pictures.js";

const SAMPLES = 36;
const SURVEYED = 400; // rows behind the map, the sliders and the neighbours
const SLIDERS = 12;
const DEVIATIONS = 3; // standard deviations from the mean to either end of a slider
const STEPS = 11; // of a walk
const NEIGHBOURS = 6;

const $ = (id) => document.getElementById(id);
let model = null; // {selector, shape, width, rows, bytes, means, latents}
let latent = null; // the latent that the sliders show
let ends = []; // the last two latents chosen
let retry = () => start();

/** Run a control's action, and show the problem if it fails. */
async function trying(action) {
  try {
    await action();
    $("problem").hidden = $("key-form").hidden = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    $("problem-text").textContent = error.message;
    $("problem").hidden = false;
    $("key-form").hidden = error.code !== "unauthenticated";
    retry = () => trying(action);
  }
}

/** Run an action one at a time: of requests that come while it runs, only the newest is carried out. */
function newest(action) {
  let running = false;
  let waiting = false;
  return async () => {
    waiting = true;
    if (running) return;
    running = true;
    while (waiting) {
      waiting = false;
      await trying(action);
    }
    running = false;
  };
}

onServed(({ method, model: by, milliseconds, queueSeconds, runSeconds, batchRows }) => {
  if (!by) return;
  const ms = (seconds) => `${(seconds * 1000).toFixed(1)} ms`;
  const serving = Number.isNaN(queueSeconds)
    ? "" : `; waited ${ms(queueSeconds)}, ran ${ms(runSeconds)} in a batch of ${batchRows}`;
  $("served").textContent =
    `${method} by ${by.name} version ${by.version} (${by.digest.slice(0, 12)}) in ${milliseconds.toFixed(0)} ms${serving}`;
});

async function start() {
  await trying(async () => {
    const { models = [] } = await call("ListModels", {});
    const ready = models.filter((summary) => summary.state === "MODEL_STATE_READY");
    if (!ready.length) throw new Problem("unavailable", "The server has no model that is ready.");
    const chosen = $("model").value;
    $("model").replaceChildren(...ready.map(({ model: { name, version }, isDefault }) => {
      const option = new Option(`${name} version ${version}`, `${name}/${version}`, isDefault, isDefault);
      return option;
    }));
    if (ready.some(({ model: { name, version } }) => `${name}/${version}` === chosen)) $("model").value = chosen;
    $("model").disabled = false;
    await load();
  });
}

async function load() {
  const [name, version] = $("model").value.split("/");
  const selector = { name, version };
  const about = await call("GetModel", { model: selector });
  const shape = (about.itemShape ?? []).map(Number);
  const likelihood = `${about.likelihood} likelihood, ${about.learnedPrior ? "learned prior" : "prior N(0, I)"}`;
  $("facts").textContent = `${shape.join(" x ")} items, ${about.latentSize} latents, ${likelihood}`;
  document.querySelector("main").hidden = shape.length !== 3;
  if (shape.length !== 3) throw new Problem("table", "This model holds tables; this page shows pictures only.");
  const rows = Math.min(SURVEYED, Number(about.maxRequestRows));
  const sampled = await call("Sample", { model: selector, count: rows, seed: "0", encoding: "UINT8" });
  const encoded = await call("Encode", { model: selector, items: sampled.items });
  const means = read(encoded.mean).values;
  const width = Number(about.latentSize);
  const latents = survey(means, read(encoded.logVar).values, width);
  model = { selector, shape, width, rows, bytes: read(sampled.items).values, means, latents };
  const like28 = shape[0] === 1 && shape[1] === 28 && shape[2] === 28;
  $("centre").checked = like28;
  drawing.clear();
  $("nearest").replaceChildren();
  for (const id of ["elbo", "percentile", "nll", "kl"]) $(id).textContent = "-";
  for (const id of ["seen", "reconstruction"]) paint($(id), new Uint8Array(shape[0] * shape[1] * shape[2]), shape);
  map($("map"), model.bytes, shape, plane(means, width, latents), (index) => choose(row(means, width, index)));
  makeSliders();
  ends = [Array.from(row(means, width, 0)), Array.from(row(means, width, 1 % rows))];
  latent = latents.map(({ mean }) => mean);
  await Promise.all([sample(), decode(), walk()]);
}

async function sample() {
  if (!$("seed").reportValidity()) return;
  const output = document.querySelector("[name=output]:checked").value;
  const temperature = Number($("temperature").value);
  const request = { model: model.selector, count: Math.min(SAMPLES, model.rows), seed: $("seed").value, temperature, output };
  const answer = await call("Sample", { ...request, encoding: "UINT8", wantLatents: true });
  const { values } = read(answer.items);
  const latents = read(answer.latents).values;
  $("samples").replaceChildren(...Array.from({ length: latents.length / model.width }, (_, index) =>
    button(item(values, model.shape, index), model.shape, `Sample ${index}`, (made) => {
      press($("samples"), made);
      choose(row(latents, model.width, index));
    })));
}

function press(among, made) {
  for (const other of among.children) other.setAttribute("aria-pressed", other === made);
}

/** Show a latent on the sliders, and make it an end of the walk. */
function choose(values) {
  latent = Array.from(values);
  ends = [ends[1], latent.slice()];
  showSliders();
  decodeNewest();
  walkNewest();
}

function makeSliders() {
  const most = [...model.latents].sort((a, b) => b.kl - a.kl).slice(0, SLIDERS);
  $("sliders").replaceChildren(...most.map(({ index, mean, deviation, kl }) => {
    const label = document.createElement("label");
    const reach = DEVIATIONS * Math.max(deviation, 0.01);
    const slider = Object.assign(document.createElement("input"), { type: "range", step: "any", min: mean - reach, max: mean + reach, value: mean });
    slider.dataset.latent = index;
    slider.addEventListener("input", () => {
      latent[index] = Number(slider.value);
      decodeNewest();
    });
    slider.addEventListener("keydown", (event) => {
      // A slider with step "any" defines no step for arrow keys.
      const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      slider.value = Number(slider.value) + (way * reach) / 20;
      slider.dispatchEvent(new Event("input"));
    });
    label.append(`z${index}, ${kl.toFixed(2)} nats`, slider);
    return label;
  }));
}

function showSliders() {
  for (const slider of $("sliders").querySelectorAll("input")) slider.value = latent[Number(slider.dataset.latent)];
}

/** Decode latents into the bytes of their items. */
async function decoded(latents) {
  const flat = Float32Array.from(latents.flat());
  const answer = await call("Decode", { model: model.selector, latents: tensor(flat, [latents.length, model.width]), encoding: "UINT8" });
  return read(answer.items).values;
}

async function decode() {
  paint($("decoded"), await decoded([latent]), model.shape);
}

async function walk() {
  const [from, to] = ends;
  const places = Array.from({ length: STEPS }, (_, i) => i / (STEPS - 1));
  const bytes = await decoded([...places, Number($("place").value)].map((place) => slerp(from, to, place)));
  $("walk").replaceChildren(...places.map((place, index) =>
    button(item(bytes, model.shape, index), model.shape, `Step ${index} of the walk`, () => {
      $("place").value = place;
      stepNewest();
    })));
  paint($("step"), item(bytes, model.shape, STEPS), model.shape);
}

async function step() {
  paint($("step"), await decoded([slerp(...ends, Number($("place").value))]), model.shape);
}

async function reconstruct() {
  const bytes = drawing.read(model.shape, $("centre").checked);
  if (!bytes) return;
  paint($("seen"), bytes, model.shape);
  const items = tensor(bytes, [1, ...model.shape]);
  const [answer, encoded] = await Promise.all([
    call("Reconstruct", { model: model.selector, items, encoding: "UINT8" }),
    call("Encode", { model: model.selector, items }),
  ]);
  paint($("reconstruction"), read(answer.items).values, model.shape);
  const first = (scores) => read(scores).values[0];
  $("elbo").textContent = `${first(answer.elbo).toFixed(1)} nats`;
  $("percentile").textContent = `${first(answer.elboPercentile).toFixed(0)} of 100`;
  $("nll").textContent = `${first(answer.reconstructionNll).toFixed(1)} nats`;
  $("kl").textContent = `${first(answer.kl).toFixed(1)} nats`;
  const mean = read(encoded.mean).values;
  choose(mean);
  const found = nearest(model.means, model.width, mean, NEIGHBOURS);
  $("nearest").replaceChildren(...found.map(({ index, distance }) =>
    button(item(model.bytes, model.shape, index), model.shape, `Neighbour at distance ${distance.toFixed(1)}`, (made) => {
      press($("nearest"), made);
      choose(row(model.means, model.width, index));
    }, distance.toFixed(1))));
}

const decodeNewest = newest(decode);
const walkNewest = newest(walk);
const stepNewest = newest(step);
const sampleNewest = newest(sample);
const reconstructNewest = newest(reconstruct);
const drawing = pad($("pad"), reconstructNewest);

$("model").addEventListener("change", () => trying(load));
$("sample-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sampleNewest();
});
$("new-seed").addEventListener("click", () => {
  $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  sampleNewest();
});
$("temperature").addEventListener("input", () => {
  $("temperature-shown").textContent = Number($("temperature").value).toFixed(2);
  sampleNewest();
});
for (const choice of document.querySelectorAll("[name=output]")) choice.addEventListener("change", sampleNewest);
$("reset").addEventListener("click", () => {
  latent = model.latents.map(({ mean }) => mean);
  showSliders();
  decodeNewest();
});
$("clear").addEventListener("click", () => drawing.clear());
$("centre").addEventListener("change", reconstructNewest);
$("place").addEventListener("input", stepNewest);
$("again").addEventListener("click", () => retry());
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("key").value);
  retry();
});
start();
