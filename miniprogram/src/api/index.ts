import { reactive } from 'vue'

import { platform } from '@/platform'

import { type Answer, Client } from './client'
import type { Me } from './types'

export { Failure, NeedsPhone } from './client'

/** Who is logged in, as far as this start knows. */
export const session = reactive<{ me?: Me }>({})

const key = 'token:' + platform.user

function parse(data: unknown): unknown {
  if (typeof data !== 'string') {
    return data
  }
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

const headers = (token: string) => (token === '' ? {} : { Authorization: 'Bearer ' + token })

export const api = new Client(
  {
    send: (method, path, token, body) =>
      new Promise<Answer>((resolve, reject) => {
        uni.request({
          url: platform.base + '/api/v1' + path,
          method,
          data: body as UniNamespace.RequestOptions['data'],
          header: { 'Content-Type': 'application/json', ...headers(token) },
          timeout: 30_000,
          success: (r) => resolve({ status: r.statusCode, body: parse(r.data) }),
          fail: reject,
        })
      }),
    upload: (path, token, file, texts) =>
      new Promise<Answer>((resolve, reject) => {
        uni.uploadFile({
          url: platform.base + '/api/v1' + path,
          filePath: file,
          name: 'file',
          formData: texts,
          header: headers(token),
          timeout: 90_000,
          success: (r) => resolve({ status: r.statusCode, body: parse(r.data) }),
          fail: reject,
        })
      }),
  },
  { read: () => (uni.getStorageSync(key) as string) || '', write: (token) => uni.setStorageSync(key, token) },
  () => platform.loginCode(),
  (login) => {
    session.me = login.me ?? session.me
  },
)
