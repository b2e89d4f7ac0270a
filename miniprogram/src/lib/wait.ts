import { ref } from 'vue'

/**
 * Looks once a second whether something has happened. waiting while it looks; unheard
 * when it has looked so many times in vain.
 */
export function useWait(happened: () => Promise<boolean>, times = 40) {
  const waiting = ref(false)
  const unheard = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  let run = 0

  function look(left: number) {
    const mine = run
    timer = setTimeout(async () => {
      const done = await happened()
      if (mine !== run) {
        return // stopped meanwhile
      }
      if (!done && left > 1) {
        look(left - 1)
        return
      }
      waiting.value = false
      unheard.value = !done
    }, 1000)
  }

  function stop() {
    clearTimeout(timer)
    run++
    waiting.value = false
  }

  function start() {
    stop()
    waiting.value = true
    unheard.value = false
    look(times)
  }

  return { waiting, unheard, start, stop }
}
