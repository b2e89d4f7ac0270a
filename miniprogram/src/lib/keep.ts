import { watch } from 'vue'

/** Where a phone keeps things between two starts. */
export interface Storage {
  read(key: string): unknown
  write(key: string, value: unknown): void
  remove(key: string): void
  keys(): string[]
}

const prefix = 'typed:'
const life = 24 * 3600 * 1000

/**
 * Keeps some fields of a form on the phone until it is sent, for a day: WeChat may end
 * the mini-program, or a page be loaded again, while somebody types. Not for codes, and
 * not for what says who a person is. Returns what forgets them.
 */
export function keep<T extends object>(of: string, form: T, fields: (keyof T & string)[], storage: Storage, now: () => number = Date.now): () => void {
  const key = prefix + of
  const kept = storage.read(key) as { at: number; typed: Partial<T> } | undefined
  if (kept && now() - kept.at < life) {
    Object.assign(form, kept.typed)
  }
  const typed = () => Object.fromEntries(fields.map((f) => [f, form[f]]))
  const stop = watch(typed, (t) => storage.write(key, { at: now(), typed: t }), { flush: 'sync' })
  return () => {
    stop()
    storage.remove(key)
  }
}

/** Forgets every form: whoever logs out leaves nothing behind. */
export function forgetAll(storage: Storage): void {
  for (const key of storage.keys()) {
    if (key.startsWith(prefix)) {
      storage.remove(key)
    }
  }
}
