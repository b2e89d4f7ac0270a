import { afterEach, beforeEach, expect, it, vi } from 'vitest'

import { useWait } from './wait'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('waits until it has happened', async () => {
  let looks = 0
  const w = useWait(async () => ++looks === 3)
  w.start()
  await vi.advanceTimersByTimeAsync(2500)
  expect([looks, w.waiting.value, w.unheard.value]).toEqual([2, true, false])
  await vi.advanceTimersByTimeAsync(60_000)
  expect([looks, w.waiting.value, w.unheard.value]).toEqual([3, false, false])
})

it('says so when it has heard nothing, and looks again when asked', async () => {
  let looks = 0
  const w = useWait(async () => (looks++, false), 5)
  w.start()
  await vi.advanceTimersByTimeAsync(60_000)
  expect([looks, w.waiting.value, w.unheard.value]).toEqual([5, false, true])
  w.start()
  expect([w.waiting.value, w.unheard.value]).toEqual([true, false])
  await vi.advanceTimersByTimeAsync(60_000)
  expect([looks, w.unheard.value]).toEqual([10, true])
})

it('ends with its page, also in the middle of a look', async () => {
  let answer!: (happened: boolean) => void
  const w = useWait(() => new Promise<boolean>((resolve) => (answer = resolve)))
  w.start()
  await vi.advanceTimersByTimeAsync(1000)
  w.stop()
  answer(false)
  await vi.advanceTimersByTimeAsync(60_000)
  expect([w.waiting.value, w.unheard.value, vi.getTimerCount()]).toEqual([false, false, 0])
})
