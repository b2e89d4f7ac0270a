// The overlay that says something is under way. Only this file shows and hides it: it is
// there exactly while a request of ours is under way, however many there are and however
// they end, and it goes with the page that it lies on. What waits for a person (camera,
// album, scanning, paying) is never covered: nobody can tell when it ends, or whether.

let waits = 0
let page = 0

/** Does something with the overlay over the page until it is done, well or not. */
export async function covered<T>(what: () => Promise<T>, title: string): Promise<T> {
  const mine = page
  if (waits++ === 0) {
    uni.showLoading({ title, mask: true })
  }
  try {
    return await what()
  } finally {
    if (mine === page && --waits === 0) {
      uni.hideLoading()
    }
  }
}

/** Takes the overlay away with its page; what was under way goes on without it. */
export function uncover(): void {
  page++
  if (waits > 0) {
    waits = 0
    uni.hideLoading()
  }
}
