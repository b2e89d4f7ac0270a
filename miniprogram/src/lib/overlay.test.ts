import { beforeEach, expect, it } from 'vitest'

import { covered, overlay, uncover } from './overlay'

beforeEach(uncover)

/** A request that ends when the test says so. */
function request() {
  let end!: (failed: boolean) => void
  const done = new Promise<void>((resolve, reject) => {
    end = (failed) => (failed ? reject(new Error('no')) : resolve())
  })
  return { done: () => done, end }
}

it('lies over the page until the last of them ends, well or not', async () => {
  const a = request()
  const b = request()
  const first = covered(a.done, '正在上传')
  const second = covered(b.done, '请稍候')
  a.end(true)
  await expect(first).rejects.toThrow('no')
  expect(overlay.title).toBe('正在上传')
  b.end(false)
  await second
  expect(overlay.title).toBe('')
})

it('goes with its page, and what ends later does not touch that of the next', async () => {
  const old = request()
  const pending = covered(old.done, '请稍候')
  uncover()
  expect(overlay.title).toBe('')
  const next = request()
  const current = covered(next.done, '正在核对')
  old.end(false)
  await pending
  expect(overlay.title).toBe('正在核对')
  next.end(false)
  await current
  expect(overlay.title).toBe('')
})
