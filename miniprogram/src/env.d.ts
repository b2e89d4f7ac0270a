/// <reference types="vite/client" />

declare module '*.vue' {
  import type { DefineComponent } from 'vue'
  const component: DefineComponent<object, object, unknown>
  export default component
}

interface ImportMetaEnv {
  /** Address of the product, https://…; empty on H5, which is served by it. */
  readonly VITE_API_BASE?: string
}
