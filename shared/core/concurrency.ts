/** Runs `work` over `inputs` with at most `limit` at a time; results by position. The first error is thrown once all that runs has ended. */
export async function mapConcurrently<T, R>(
  inputs: readonly T[],
  limit: number,
  work: (input: T, position: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(inputs.length);
  const failures: unknown[] = [];
  let next = 0;
  const lane = async () => {
    while (next < inputs.length && failures.length === 0) {
      const position = next++;
      try {
        results[position] = await work(inputs[position] as T, position);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, inputs.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
