import { useLoad } from './load'
import { once } from './once'

/** A part of a list and where the next one begins; the last has no next. */
export interface Page<T> {
  rows: T[]
  next?: string
}

/** A list that people see page by page; fetch is told where a page begins, '' for the first. */
export function usePages<T>(fetch: (at: string) => Promise<Page<T>>) {
  const list = useLoad(() => fetch(''))
  /** Adds the next page. A list that was loaded anew meanwhile stays as it is. */
  const more = once(async () => {
    const shown = list.state.value
    if (!shown?.next) {
      return
    }
    const page = await fetch(shown.next)
    if (list.state.value === shown) {
      list.state.value = { rows: [...shown.rows, ...page.rows], next: page.next }
    }
  })
  return { ...list, more }
}
