// The overlay that says something is under way. Only this file shows and hides it: it is
// there exactly while a request of ours is under way, however many there are and however
// they end, and it goes with the page that it lies on. What waits for a person (camera,
// album, scanning, paying) is never covered: nobody can tell when it ends, or whether.
//
// It is an element of our own: uni.showLoading is one with the toasts, which end it, and
// in a browser it fades away, which it never does again when two fades meet between two
// slow frames.

import { reactive } from 'vue'

/** What lies over the page: its words, none when nothing does. */
export const overlay = reactive({ title: '' })

let waits = 0
let page = 0

/** Does something with the overlay over the page until it is done, well or not. */
export async function covered<T>(what: () => Promise<T>, title: string): Promise<T> {
  const mine = page
  if (waits++ === 0) {
    overlay.title = title
  }
  try {
    return await what()
  } finally {
    if (mine === page && --waits === 0) {
      overlay.title = ''
    }
  }
}

/** Takes the overlay away with its page; what was under way goes on without it. */
export function uncover(): void {
  page++
  waits = 0
  overlay.title = ''
}
