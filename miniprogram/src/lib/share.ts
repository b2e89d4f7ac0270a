/**
 * What is passed on to a chat of WeChat: how far an order is, not whose, and the way
 * home. Without a picture of its own WeChat takes one of the page, with all that it shows.
 */
export function shareOf(state?: string): { title: string; path: string; imageUrl: string } {
  const title = state === undefined ? '云采盾 · 招投标数字证书办理' : '数字证书办理进度：' + state
  return { title, path: '/pages/home/index', imageUrl: '/static/share.png' }
}
