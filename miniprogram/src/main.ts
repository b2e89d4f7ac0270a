import { createSSRApp } from 'vue'

import App from './App.vue'

/** The entry that uni-app calls on every platform. */
export function createApp() {
  const app = createSSRApp(App)
  return { app }
}
