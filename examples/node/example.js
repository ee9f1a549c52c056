// Sample, encode and reconstruct from Node.js. Start a server first (`make serve`), then in this folder:
//   npm install && node example.js [HOST:PORT]
const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const target = process.argv[2] ?? "127.0.0.1:50051";
const definition = loader.loadSync(["vaeserve/v1/vaeserve.proto", "error_details.proto"], {
  includeDirs: [path.join(__dirname, "..", "..", "proto"), __dirname],
  longs: String, // a JavaScript number cannot hold every seed
  enums: String,
  defaults: true,
});
const { VaeService } = grpc.loadPackageDefinition(definition).vaeserve.v1;
const client = new VaeService(target, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": -1,
});

// A call as a promise. `seconds` is its deadline, after which the server stops working on it too.
function call(method, request, seconds = 30) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 1000 * seconds;
    client[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// Tensors are little-endian bytes beside a shape; axis 0 is rows.
const toTensor = (values, shape) => ({
  dtype: "DATA_TYPE_FLOAT32",
  shape,
  data: Buffer.from(Float32Array.from(values).buffer),
});
function toFloats(tensor) {
  const bytes = Uint8Array.from(tensor.data); // a copy, since floats must be aligned and a Buffer may not be
  return new Float32Array(bytes.buffer);
}

// The details of an error beyond its message: the wrong fields, and when to try again.
function details(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const found = { violations: [], retryAfterSeconds: null };
  if (!packed) return found;
  const read = (name, bytes) => definition[`google.rpc.${name}`].deserialize(bytes);
  for (const detail of read("Status", packed).details) {
    const bytes = Buffer.from(detail.value);
    if (detail.type_url.endsWith("google.rpc.BadRequest")) found.violations = read("BadRequest", bytes).fieldViolations;
    if (detail.type_url.endsWith("google.rpc.RetryInfo")) {
      const { seconds, nanos } = read("RetryInfo", bytes).retryDelay;
      found.retryAfterSeconds = Number(seconds) + nanos / 1e9;
    }
  }
  return found;
}

async function main() {
  const model = await call("GetModel", {});
  console.log(`model ${model.summary.model.name}/${model.summary.model.version}: items ${model.itemShape.join(" x ")}`);

  const samples = await call("Sample", { count: 4, seed: 5 });
  console.log(`sampled ${samples.items.shape.join(" x ")}, seed ${samples.seed}`);

  const picture = await call("Sample", { count: 1, seed: 5, encoding: "ENCODING_PNG" });
  fs.writeFileSync("sample.png", picture.png[0]);

  const items = toTensor(toFloats(samples.items), samples.items.shape);
  const posteriors = await call("Encode", { items, wantKl: true });
  console.log(`encoded into ${posteriors.mean.shape.join(" x ")}, space ${posteriors.embeddingSpace.slice(0, 12)}`);
  console.log(`first latent ${toFloats(posteriors.mean)[0].toFixed(4)}`);

  const again = await call("Reconstruct", { items });
  console.log(`ELBO of the first ${toFloats(again.elbo)[0].toFixed(4)} nats`);

  try {
    await call("Sample", { count: 4 }, 0);
  } catch (error) {
    console.log(`too late: ${grpc.status[error.code]}`);
  }

  try {
    await call("Encode", { items: toTensor([0, 1, 2], [1, 3]) });
  } catch (error) {
    const { violations } = details(error);
    console.log(`refused: ${grpc.status[error.code]} ${violations.map((each) => each.field).join(", ")}`);
    console.log(violations[0].description);
  }
}

main()
  .catch((error) => {
    console.error(`${target}: ${grpc.status[error.code] ?? "error"} ${error.details ?? error}`);
    process.exitCode = 1;
  })
  .finally(() => client.close());
