// The only place that chooses a platform; the other one is not compiled in.
// #ifdef H5
import { platform as h5 } from './h5'
// #endif
// #ifdef MP-WEIXIN
import { platform as weixin } from './mp-weixin'
// #endif
import type { Platform } from './types'

export { Cancelled } from './types'

const compiled: Platform[] = [
  // #ifdef MP-WEIXIN
  weixin,
  // #endif
  // #ifdef H5
  h5,
  // #endif
]

export const platform = compiled[0]
