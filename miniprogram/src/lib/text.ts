/** 30000 → 300.00 */
export function yuan(fen: number): string {
  const sign = fen < 0 ? '-' : ''
  const n = Math.abs(fen)
  return `${sign}${Math.floor(n / 100)}.${String(n % 100).padStart(2, '0')}`
}

const eightHours = 8 * 3600 * 1000

/** An instant in China, whatever the phone's time zone: 2026-11-23 10:12. */
export function moment(iso: string): string {
  const at = Date.parse(iso)
  return Number.isNaN(at) ? '' : new Date(at + eightHours).toISOString().slice(0, 16).replace('T', ' ')
}

/** The day of an instant in China: 2026/11/23 (F98). */
export function day(iso: string): string {
  return moment(iso).slice(0, 10).replace(/-/g, '/')
}

/** A long serial in groups of four, so that people can compare it. */
export function grouped(serial: string): string {
  return serial.replace(/(.{4})(?=.)/g, '$1 ')
}

/** What expires when, in words (F103); whether it can still be renewed, the state's label says. */
export function lifeOf(daysLeft: number): { text: string; soon: boolean } {
  if (daysLeft < 0) {
    return { text: `已过期 ${-daysLeft} 天`, soon: true }
  }
  if (daysLeft === 0) {
    return { text: '今天到期', soon: true }
  }
  return { text: `还有 ${daysLeft} 天到期`, soon: daysLeft < 30 }
}
