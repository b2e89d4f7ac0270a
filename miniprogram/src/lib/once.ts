/** A handler that does nothing while it is still at it: a second tap is no second wish. */
export function once<A extends unknown[], R>(what: (...args: A) => Promise<R>): (...args: A) => Promise<R | undefined> {
  let busy = false
  return async (...args) => {
    if (busy) {
      return undefined
    }
    busy = true
    try {
      return await what(...args)
    } finally {
      busy = false
    }
  }
}
