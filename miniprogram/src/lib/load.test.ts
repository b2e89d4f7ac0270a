import { expect, it } from 'vitest'

import { useLoad } from './load'

/** Answers that come when the test says so. */
function slow() {
  const answers: ((value: string) => void)[] = []
  return { answers, fetch: () => new Promise<string>((resolve) => answers.push(resolve)) }
}

it('shows a slow answer though it is asked again meanwhile', async () => {
  const { answers, fetch } = slow()
  const page = useLoad(fetch)
  const first = page.load()
  await page.refresh()
  answers[0]('first')
  await first
  expect(page.state.value).toBe('first')
  const second = page.refresh()
  expect(page.state.value).toBe('first')
  answers[1]('second')
  await second
  expect(page.state).toMatchObject({ value: 'second', busy: false })
  expect(answers.length).toBe(2)
})

it('shows the latest of two answers, whichever comes first', async () => {
  const { answers, fetch } = slow()
  const page = useLoad(fetch)
  const both = [page.load(), page.load()]
  answers[1]('new')
  answers[0]('old')
  await Promise.all(both)
  expect(page.state.value).toBe('new')
})
