import { expect, test } from 'vitest'

import { once } from './once'

test('of two taps the second does nothing, and the next one after the end does', async () => {
  const done: string[] = []
  let end = () => {}
  const tap = once(async (what: string) => {
    done.push(what)
    await new Promise<void>((resolve) => (end = resolve))
    return what
  })
  const first = tap('pay')
  expect(await tap('pay')).toBeUndefined()
  end()
  expect(await first).toBe('pay')
  void tap('again')
  expect(done).toEqual(['pay', 'again'])
})

test('what failed can be tapped again', async () => {
  let times = 0
  const tap = once(async () => {
    times++
    throw new Error('offline')
  })
  await expect(tap()).rejects.toThrow('offline')
  await expect(tap()).rejects.toThrow('offline')
  expect(times).toBe(2)
})
