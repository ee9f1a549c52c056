// What grpc-js gets from a server, as one line of JSON: node client.js HOST:PORT
const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const protos = path.join(__dirname, "..", "..", "proto");
const definition = loader.loadSync("vaeserve/v1/vaeserve.proto", {
  includeDirs: [protos],
  longs: Number,
  enums: String,
});
const { VaeService } = grpc.loadPackageDefinition(definition).vaeserve.v1;
const client = new VaeService(process.argv[2], grpc.credentials.createInsecure());

// One unary call: the answer or the refusal, and the trailers.
function call(method, request, { seconds = 30, cancel = false } = {}) {
  return new Promise((resolve) => {
    let answer, failure;
    const metadata = new grpc.Metadata();
    metadata.set("test-bin", Buffer.from([255, 0, 1]));
    const options = { deadline: Date.now() + seconds * 1000 };
    const running = client[method](request, metadata, options, (error, response) => {
      failure = error;
      answer = response;
    });
    running.on("status", (status) =>
      resolve({
        code: status.code,
        details: status.details,
        trailers: Object.keys(status.metadata.getMap()).sort(),
        answer,
        failed: Boolean(failure),
      }),
    );
    if (cancel) running.cancel();
  });
}

async function main() {
  const good = await call("Sample", { count: 100, seed: 5 });
  const large = await call("Sample", { count: 4096, seed: 5 });
  const many = await Promise.all(Array.from({ length: 200 }, (_, i) => call("Sample", { count: 1, seed: i + 1 })));
  const told = {
    good: { code: good.code, trailers: good.trailers, bytes: good.answer.items.data.toString("hex") },
    large: { code: large.code, size: large.answer.items.data.length },
    many: many.every((each, i) => each.code === 0 && each.answer.seed === i + 1),
    refused: await call("Sample", { count: -1 }),
    late: await call("Sample", { count: 4096 }, { seconds: 0 }),
    cancelled: await call("Sample", { count: 4096 }, { cancel: true }),
    after: (await call("Sample", { count: 1 })).code,
  };
  fs.writeSync(1, JSON.stringify(told));
  client.close();
}

main();
