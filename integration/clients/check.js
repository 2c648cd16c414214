// Assertions of the scenarios. They throw errors that say both sides.

const show = value => JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? { bytes: [...v] } : v === undefined ? "undefined" : v));

/** Compares by content: values, arrays, plain objects, byte arrays. */
export function equal(actual, expected, what) {
  if (show(actual) !== show(expected)) {
    throw new Error(`${what}: got ${show(actual)}, want ${show(expected)}`);
  }
}

export function truth(condition, what) {
  if (!condition) {
    throw new Error(what);
  }
}

/** The promise must fail with exactly this message, or with one that the regular expression matches. */
export async function fails(promise, expected, what) {
  let message;
  try {
    const value = await promise;
    throw new Unexpected(`${what}: succeeded with ${show(value)}, want the error ${expected}`);
  } catch (error) {
    if (error instanceof Unexpected) {
      throw error;
    }
    message = error.message;
  }
  if (expected instanceof RegExp) {
    truth(expected.test(message), `${what}: got the error ${show(message)}, want ${expected}`);
  } else {
    equal(message, expected, `error of ${what}`);
  }
}

class Unexpected extends Error {}
