import { Cancelled, certificateFiles, type Platform } from './types'

let outside = ''

/** WeChat. */
export const platform: Platform = {
  user: '',
  base: import.meta.env.VITE_API_BASE ?? '',
  nativePhoneButton: true,
  loginCode: () =>
    new Promise((resolve, reject) => {
      uni.login({ provider: 'weixin', success: (r) => resolve(r.code), fail: () => reject(new Error('login')) })
    }),
  phoneCode: () => Promise.reject(new Cancelled()),
  pay: (request) =>
    new Promise((resolve, reject) => {
      const options = {
        provider: 'wxpay',
        orderInfo: '',
        ...request,
        success: () => resolve(),
        fail: (e: { errMsg: string }) => reject(e.errMsg.includes('cancel') ? new Cancelled() : new Error('pay')),
      }
      uni.requestPayment(options as unknown as UniNamespace.RequestPaymentOptions)
    }),
  scan: () =>
    new Promise((resolve, reject) => {
      uni.scanCode({ scanType: ['qrCode'], success: (r) => resolve(r.result), fail: () => reject(new Cancelled()) })
    }),
  picture: () =>
    new Promise((resolve, reject) => {
      uni.chooseMedia({
        count: 1,
        mediaType: ['image'],
        sourceType: ['camera', 'album'],
        sizeType: ['compressed'],
        success: (r) => resolve(r.tempFiles[0].tempFilePath),
        fail: () => reject(new Cancelled()),
      })
    }),
  certificate: () =>
    new Promise((resolve, reject) => {
      uni.chooseMessageFile({ count: 1, type: 'file', extension: certificateFiles, success: (r) => resolve(r.tempFiles[0].path), fail: () => reject(new Cancelled()) })
    }),
  openPDF: (url, token, _name, headers) =>
    new Promise((resolve, reject) => {
      uni.downloadFile({
        url,
        header: { ...headers, ...(token ? { Authorization: 'Bearer ' + token } : {}) },
        success: (r) => {
          if (r.statusCode !== 200) {
            reject(new Error('download'))
            return
          }
          uni.openDocument({ filePath: r.tempFilePath, fileType: 'pdf', showMenu: true, success: () => resolve(), fail: () => reject(new Error('open')) })
        },
        fail: () => reject(new Error('download')),
      })
    }),
  subscribe: (templates) =>
    new Promise((resolve, reject) => {
      uni.requestSubscribeMessage({
        tmplIds: templates,
        success: (r) => resolve({ ...(r as unknown as Record<string, string>) }),
        fail: () => reject(new Cancelled()),
      })
    }),
  drawing: (file) =>
    new Promise((resolve, reject) => {
      uni.getFileSystemManager().readFile({
        filePath: file,
        encoding: 'base64',
        success: (r) => resolve('data:image/png;base64,' + (r.data as string)),
        fail: () => reject(new Error('drawing')),
      })
    }),
  openWeb: (path) => {
    uni.navigateTo({ url: '/pages/web/index?path=' + encodeURIComponent(path) })
  },
  openOutside: (address) => {
    outside = address
    uni.navigateTo({ url: '/pages/web/index' })
  },
  get outside() {
    return outside
  },
}
