import { Cancelled, certificateFiles, type Platform } from './types'

// The H5 build runs in the playground, beside the simulator that plays WeChat: it
// hands out the codes for the persona of this phone frame and takes its payments.
// Everything after that is the same as in WeChat.

const user = new URLSearchParams(location.search).get('persona') ?? 'applicant'

async function simulator(path: string, body: Record<string, unknown>): Promise<Record<string, string>> {
  const response = await fetch('/playground/control/mini/' + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ persona: user, ...body }),
  })
  const answer = (await response.json()) as Record<string, string>
  if (!response.ok) {
    throw new Error(answer.error)
  }
  return answer
}

function ask(title: string, content: string, confirmText: string): Promise<boolean> {
  return new Promise((resolve) => {
    uni.showModal({ title, content, confirmText, cancelText: '取消', success: (r) => resolve(r.confirm), fail: () => resolve(false) })
  })
}

// A mouse draws like a finger.
for (const [mouse, touch] of [['mousedown', 'touchstart'], ['mousemove', 'touchmove'], ['mouseup', 'touchend']]) {
  document.addEventListener(mouse, (e) => {
    const at = e as MouseEvent
    const canvas = (at.target as Element).closest?.('uni-canvas')
    if (canvas && (mouse !== 'mousemove' || at.buttons === 1)) {
      const finger = new Touch({ identifier: 1, target: canvas, clientX: at.clientX, clientY: at.clientY, pageX: at.pageX, pageY: at.pageY })
      canvas.dispatchEvent(new TouchEvent(touch, { bubbles: true, cancelable: true, touches: touch === 'touchend' ? [] : [finger], changedTouches: [finger] }))
    }
  })
}

/** The playground's phone. */
export const platform: Platform = {
  user,
  base: location.origin, // a path alone would be resolved below this build
  nativePhoneButton: false,
  loginCode: async () => (await simulator('login', {})).code,
  phoneCode: async () => (await simulator('phone', {})).code,
  pay: async (request) => {
    if (!(await ask('微信支付（演练）', '以当前人物的微信支付这笔订单？', '支付'))) {
      throw new Cancelled()
    }
    await simulator('pay', { how: 'pay', ...request })
  },
  scan: () =>
    new Promise((resolve, reject) => {
      uni.showModal({
        title: '扫一扫（演练）',
        editable: true,
        placeholderText: '粘贴二维码的链接',
        confirmText: '确定',
        success: (r) => (r.confirm && r.content ? resolve(r.content) : reject(new Cancelled())),
        fail: () => reject(new Cancelled()),
      })
    }),
  picture: () =>
    new Promise((resolve, reject) => {
      uni.chooseImage({ count: 1, sizeType: ['compressed'], success: (r) => resolve((r.tempFilePaths as string[])[0]), fail: () => reject(new Cancelled()) })
    }),
  certificate: () =>
    new Promise((resolve, reject) => {
      uni.chooseFile({ count: 1, extension: certificateFiles.map((e) => '.' + e), success: (r) => resolve((r.tempFilePaths as string[])[0]), fail: () => reject(new Cancelled()) })
    }),
  openPDF: async (url, token, name, headers) => {
    const response = await fetch(url, { headers: { ...headers, ...(token ? { Authorization: 'Bearer ' + token } : {}) } })
    if (!response.ok) {
      throw new Error('download')
    }
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await response.blob())
    link.download = name
    link.click()
  },
  drawing: (file) => Promise.resolve(file), // is one already
  openWeb: (path) => {
    window.open(path, '_blank', 'noopener')
  },
  openOutside: (address) => {
    window.open(address, '_blank', 'noopener')
  },
  outside: '', // opens in a tab of its own
}
