// Arithmetic on latents. A latent is an array of numbers; a table of latents is one Float32Array, row by row.

export const row = (table, width, index) => table.subarray(index * width, (index + 1) * width);

/** Mean, standard deviation and mean KL(q || N(0, 1)) in nats of every latent over the rows. */
export function survey(means, logVars, width) {
  const rows = means.length / width;
  const latents = Array.from({ length: width }, (_, index) => ({ index, mean: 0, deviation: 0, kl: 0 }));
  for (let i = 0; i < means.length; i += 1) {
    const latent = latents[i % width];
    latent.mean += means[i] / rows;
    latent.kl += (0.5 * (Math.exp(logVars[i]) + means[i] ** 2 - 1 - logVars[i])) / rows;
  }
  for (let i = 0; i < means.length; i += 1) latents[i % width].deviation += (means[i] - latents[i % width].mean) ** 2 / rows;
  for (const latent of latents) latent.deviation = Math.sqrt(latent.deviation);
  return latents;
}

/** The `count` rows nearest to a latent, nearest first: [{index, distance}]. */
export function nearest(table, width, latent, count) {
  const found = [];
  for (let index = 0; index < table.length / width; index += 1) {
    const other = row(table, width, index);
    found.push({ index, distance: Math.hypot(...other.map((value, i) => value - latent[i])) });
  }
  return found.sort((a, b) => a.distance - b.distance).slice(0, count);
}

/** The point at 0 <= t <= 1 on the arc between two latents (slerp); on the straight line if they are parallel. */
export function slerp(a, b, t) {
  const length = (v) => Math.hypot(...v);
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (length(a) * length(b) || 1);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  const [left, right] = sine < 1e-4 ? [1 - t, t] : [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  return a.map((value, i) => left * value + right * b[i]);
}

/** Every row's place along the two directions in which the rows vary most (power iteration): [[x, y]]. */
export function plane(table, width, latents) {
  const rows = table.length / width;
  const centred = Float32Array.from(table, (value, i) => value - latents[i % width].mean);
  const directions = [];
  for (let k = 0; k < Math.min(2, width); k += 1) {
    let direction = Float64Array.from({ length: width }, (_, i) => 1 / (1 + ((i + k) % width)));
    for (let turn = 0; turn < 50; turn += 1) {
      const next = new Float64Array(width);
      for (let r = 0; r < rows; r += 1) {
        const x = row(centred, width, r);
        const along = dot(x, direction);
        for (let i = 0; i < width; i += 1) next[i] += along * x[i];
      }
      for (const known of directions) {
        const along = dot(next, known);
        for (let i = 0; i < width; i += 1) next[i] -= along * known[i];
      }
      const length = Math.hypot(...next) || 1;
      direction = next.map((value) => value / length);
    }
    directions.push(direction);
  }
  return Array.from({ length: rows }, (_, r) => {
    const x = row(centred, width, r);
    return [dot(x, directions[0]), directions[1] ? dot(x, directions[1]) : 0];
  });
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < b.length; i += 1) sum += a[i] * b[i];
  return sum;
}
