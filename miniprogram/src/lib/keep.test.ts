import { beforeEach, expect, test } from 'vitest'
import { reactive } from 'vue'

import { forgetAll, keep, type Storage } from './keep'

const phone = new Map<string, unknown>()
const storage: Storage = {
  read: (key) => phone.get(key),
  write: (key, value) => void phone.set(key, value),
  remove: (key) => void phone.delete(key),
  keys: () => [...phone.keys()],
}
let now = 1000
const open = () => {
  const form = reactive({ title: '原抬头', code: '' })
  return { form, forget: keep('invoice:1', form, ['title'], storage, () => now) }
}

beforeEach(() => {
  phone.clear()
  now = 1000
})

test('what was typed is there when the page is loaded again, the code is not', () => {
  const { form } = open()
  form.title = '新抬头'
  form.code = '123456'
  expect(open().form).toEqual({ title: '新抬头', code: '' })
  expect(JSON.stringify([...phone])).not.toContain('123456')
})

test('what was sent is forgotten, and so is what is a day old', () => {
  const { form, forget } = open()
  form.title = '新抬头'
  forget()
  form.title = '之后'
  expect(open().form.title).toBe('原抬头')
  open().form.title = '昨天'
  now += 24 * 3600 * 1000
  expect(open().form.title).toBe('原抬头')
})

test('whoever logs out leaves no form behind, and nothing else goes', () => {
  phone.set('large:', 'yes')
  open().form.title = '新抬头'
  forgetAll(storage)
  expect([...phone.keys()]).toEqual(['large:'])
})
