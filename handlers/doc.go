// Package handlers speaks HTTP: it turns requests into calls on the domain and
// results into pages, JSON and problem documents. It decides nothing.
//
// Every route is declared with its access (route.go); a route without one cannot
// be added. Handlers return errors; problem.go is the only place where error
// kinds meet HTTP.
package handlers
