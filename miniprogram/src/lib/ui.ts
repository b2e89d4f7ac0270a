import { reactive, type Ref } from 'vue'

import { api, NeedsPhone, session } from '@/api'
import { Cancelled, platform } from '@/platform'

import type { Storage } from './keep'
import { asFailure, faultsOf } from './load'
import { once } from './once'
import { covered } from './overlay'

/** What a person has chosen about the looks. */
export const settings = reactive({ large: false })

const largeKey = 'large:' + platform.user

export function restoreSettings(): void {
  settings.large = uni.getStorageSync(largeKey) === 'yes'
}

export function setLarge(large: boolean): void {
  settings.large = large
  uni.setStorageSync(largeKey, large ? 'yes' : 'no')
}

/** What this phone keeps of its user. */
export const storage: Storage = {
  read: (key) => uni.getStorageSync(key + '@' + platform.user) || undefined,
  write: (key, value) => uni.setStorageSync(key + '@' + platform.user, value),
  remove: (key) => uni.removeStorageSync(key + '@' + platform.user),
  keys: () =>
    uni
      .getStorageInfoSync()
      .keys.filter((key) => key.endsWith('@' + platform.user))
      .map((key) => key.slice(0, -1 - platform.user.length)),
}

/** A short message that goes away by itself. */
export function toast(title: string): void {
  uni.showToast({ title, icon: 'none', duration: 3000 })
}

/** A message that has to be read. */
export function tell(content: string, title = '提示'): void {
  uni.showModal({ title, content, showCancel: false, confirmText: '知道了' })
}

/** Asks before something that cannot be taken back. */
export function sure(content: string, confirmText = '确定'): Promise<boolean> {
  return new Promise((resolve) => {
    uni.showModal({ title: '请确认', content, confirmText, cancelText: '取消', success: (r) => resolve(r.confirm), fail: () => resolve(false) })
  })
}

/** Asks for a line of text; undefined when it was called off. */
export function line(title: string, placeholderText: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    uni.showModal({ title, editable: true, placeholderText, confirmText: '确定', success: (r) => resolve(r.confirm ? (r.content ?? '') : undefined), fail: () => resolve(undefined) })
  })
}

/**
 * Does something a person asked for: shows that it is under way, and says why it
 * did not work. Undefined when it did not.
 */
export function attempt<T>(what: () => Promise<T>, wait = '请稍候'): Promise<T | undefined> {
  return explained(() => covered(what, wait))
}

/** The same for what waits for a person: nothing lies over the page meanwhile. */
export async function explained<T>(what: () => Promise<T>): Promise<T | undefined> {
  try {
    return await what()
  } catch (e) {
    if (e instanceof Cancelled) {
      return undefined
    }
    if (e instanceof NeedsPhone) {
      toLogin()
      return undefined
    }
    tell(asFailure(e).message)
    return undefined
  }
}

/** Sends a form, or undefined: what is wrong with a field belongs beside it, anything else is told. */
export function send<T>(faults: Ref<Record<string, string>>, what: () => Promise<T>): Promise<T | undefined> {
  faults.value = {}
  return attempt(async () => {
    try {
      return await what()
    } catch (e) {
      const beside = faultsOf(e)
      if (!beside) {
        throw e
      }
      faults.value = beside
      return undefined
    }
  })
}

const tabs = ['pages/home/index', 'pages/orders/index', 'pages/certificates/index', 'pages/me/index']

/** Opens a page of ours, /pages/…?… */
export function open(url: string): void {
  const path = url.slice(1).split('?')[0]
  if (tabs.includes(path)) {
    uni.switchTab({ url })
  } else {
    void navigate(url)
  }
}

// Two taps open one page.
const navigate = once((url: string) => new Promise<void>((resolve) => uni.navigateTo({ url, complete: () => resolve() })))

/** The same in the place of the current page. */
export function replace(url: string): void {
  if (tabs.includes(url.slice(1).split('?')[0])) {
    uni.switchTab({ url })
  } else {
    uni.redirectTo({ url })
  }
}

/** The address of the page that many below the one that is shown, if there is one. */
function addressOf(below: number): string | undefined {
  const pages = getCurrentPages()
  const page = pages[pages.length - 1 - below] as unknown as { route: string; $page?: { fullPath: string }; options?: Record<string, string> } | undefined
  if (!page) {
    return undefined
  }
  const query = Object.entries(page.options ?? {})
    .map(([k, v]) => `${k}=${v}`)
    .join('&')
  return page.$page?.fullPath ?? '/' + page.route + (query ? '?' + query : '')
}

/** Back to the page this one was opened from, as it was left; to a new one where it is not below. */
export function back(url: string): void {
  if (addressOf(1) === url) {
    uni.navigateBack()
  } else {
    replace(url)
  }
}

/** To the login and back to this page. */
export function toLogin(): void {
  void navigate('/pages/login/index?back=' + encodeURIComponent(addressOf(0) ?? ''))
}

/** Whether somebody is logged in, without asking anybody anything. */
export async function silentLogin(): Promise<boolean> {
  try {
    session.me = await api.get('/me')
    return true
  } catch {
    return false
  }
}
