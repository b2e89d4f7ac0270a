import { beforeEach, expect, it, vi } from 'vitest'

import { covered, uncover } from './overlay'

let shown: string[] = []
beforeEach(() => {
  uncover()
  shown = []
  vi.stubGlobal('uni', { showLoading: ({ title }: { title: string }) => shown.push(title), hideLoading: () => shown.push('') })
})

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
  expect(shown).toEqual(['正在上传'])
  b.end(false)
  await second
  expect(shown).toEqual(['正在上传', ''])
})

it('goes with its page, and what ends later does not touch that of the next', async () => {
  const old = request()
  const pending = covered(old.done, '请稍候')
  uncover()
  expect(shown).toEqual(['请稍候', ''])
  const next = request()
  const current = covered(next.done, '正在核对')
  old.end(false)
  await pending
  expect(shown).toEqual(['请稍候', '', '正在核对'])
  next.end(false)
  await current
  expect(shown).toEqual(['请稍候', '', '正在核对', ''])
})
