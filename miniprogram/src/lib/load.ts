import { reactive } from 'vue'

import { Failure } from '@/api/client'

/** Something a page shows: not there yet, there, or not to be had and why. */
export interface Loading<T> {
  value?: T
  busy: boolean
  failure?: Failure
}

/** Loads something and keeps what it was while a newer one comes. */
export function useLoad<T>(fetch: () => Promise<T>) {
  const state = reactive({ busy: false }) as Loading<T>
  let latest = 0
  async function load(): Promise<void> {
    const mine = ++latest
    state.busy = true
    try {
      const value = await fetch()
      if (mine === latest) {
        state.value = value
        state.failure = undefined
      }
    } catch (e) {
      if (mine === latest) {
        state.failure = asFailure(e)
      }
    } finally {
      if (mine === latest) {
        state.busy = false
      }
    }
  }
  /** Loads again, unless that is still under way: where answers are slow none would ever be the latest. */
  async function refresh(): Promise<void> {
    if (!state.busy) {
      await load()
    }
  }
  return { state, load, refresh }
}

/** What a refusal says of the fields of a form; undefined when it is about none of them. */
export function faultsOf(e: unknown): Record<string, string> | undefined {
  const fields = asFailure(e).problem?.fields ?? []
  return fields.length > 0 ? Object.fromEntries(fields.map((f) => [f.field, f.detail])) : undefined
}

/** Whatever went wrong, in words for people. */
export function asFailure(e: unknown): Failure {
  return e instanceof Failure ? e : new Failure('broken', '操作没有成功，请重试')
}
