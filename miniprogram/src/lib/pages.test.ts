import { expect, it } from 'vitest'

import { type Page, usePages } from './pages'

/** A server whose answers come when the test says so. */
function server() {
  const asked: { at: string; answer: (page: Page<string>) => void; fail: () => void }[] = []
  const fetch = (at: string) =>
    new Promise<Page<string>>((resolve, reject) => asked.push({ at, answer: resolve, fail: () => reject(new Error('offline')) }))
  return { asked, fetch }
}

async function shown(first: Page<string>) {
  const { asked, fetch } = server()
  const list = usePages(fetch)
  const loaded = list.load()
  asked[0].answer(first)
  await loaded
  return { asked, list }
}

it('adds page after page, until there are no more', async () => {
  const { asked, list } = await shown({ rows: ['a', 'b'], next: 'b' })
  const second = list.more()
  expect(asked[1].at).toBe('b')
  asked[1].answer({ rows: ['c'] })
  await second
  expect(list.state.value).toEqual({ rows: ['a', 'b', 'c'], next: undefined })
  await list.more()
  expect(asked.length).toBe(2)
})

it('asks for a page once, however often the end is reached', async () => {
  const { asked, list } = await shown({ rows: ['a'], next: 'a' })
  const both = [list.more(), list.more()]
  asked[1].answer({ rows: ['b'] })
  await Promise.all(both)
  expect(list.state.value?.rows).toEqual(['a', 'b'])
  expect(asked.length).toBe(2)
})

it('adds nothing to a list that was loaded anew meanwhile', async () => {
  const { asked, list } = await shown({ rows: ['a'], next: 'a' })
  const second = list.more()
  list.state.value = undefined // another tab of the list
  const other = list.load()
  asked[1].answer({ rows: ['b'], next: 'b' })
  await second
  expect(list.state.value).toBeUndefined()
  asked[2].answer({ rows: ['x'], next: 'x' })
  await other
  expect(list.state.value).toEqual({ rows: ['x'], next: 'x' })
})

it('tries the same page again after it did not come', async () => {
  const { asked, list } = await shown({ rows: ['a'], next: 'a' })
  const second = list.more()
  asked[1].fail()
  await expect(second).rejects.toThrow('offline')
  expect(list.state.value).toEqual({ rows: ['a'], next: 'a' })
  const again = list.more()
  expect(asked[2].at).toBe('a')
  asked[2].answer({ rows: ['b'] })
  await again
  expect(list.state.value?.rows).toEqual(['a', 'b'])
})
