package order

import (
	"testing"
	"time"
)

// Row 48: the newest line decides, whatever arrives in whichever order, and what is
// over stays over.
func TestHear(t *testing.T) {
	at := func(hour int) time.Time { return t0.Add(time.Duration(hour) * time.Hour) }
	track := func(hours ...int) (out []TrackLine) {
		for _, h := range hours {
			out = append(out, TrackLine{at(h), "第" + string(rune('0'+h)) + "条"})
		}
		return out
	}
	report := func(s ParcelState, hours ...int) CourierReport { return CourierReport{"SF1", s, track(hours...)} }
	tests := []struct {
		name    string
		reports []CourierReport
		want    ParcelState
		lines   int
		news    bool // the last one told something
	}{
		{"first", []CourierReport{report(ParcelPickedUp, 1)}, ParcelPickedUp, 1, true},
		{"repeated", []CourierReport{report(ParcelPickedUp, 1), report(ParcelPickedUp, 1)}, ParcelPickedUp, 1, false},
		{"overtaken", []CourierReport{report(ParcelDelivering, 3, 2, 1), report(ParcelInTransit, 2, 1)}, ParcelDelivering, 3, false},
		{"overtaken, with a line that was missing", []CourierReport{report(ParcelDelivering, 3, 1), report(ParcelInTransit, 2, 1)}, ParcelDelivering, 3, true},
		{"delivered at the second try", []CourierReport{report(ParcelTroubled, 2, 1), report(ParcelDelivering, 3, 2, 1)}, ParcelDelivering, 3, true},
		{"back on the way", []CourierReport{report(ParcelDelivering, 2, 1), report(ParcelInTransit, 3, 2, 1)}, ParcelInTransit, 3, true},
		{"same second, further", []CourierReport{report(ParcelInTransit, 1), report(ParcelDelivering, 1)}, ParcelDelivering, 1, true},
		{"same second, not as far", []CourierReport{report(ParcelDelivering, 1), report(ParcelInTransit, 1)}, ParcelDelivering, 1, false},
		{"signed stays signed", []CourierReport{report(ParcelSigned, 2, 1), report(ParcelReturning, 3, 2, 1)}, ParcelSigned, 3, true},
		{"returning is not delivered any more", []CourierReport{report(ParcelReturning, 2, 1), report(ParcelDelivering, 3, 2, 1)}, ParcelReturning, 3, true},
		{"signed on the way back: by us", []CourierReport{report(ParcelReturning, 2, 1), report(ParcelSigned, 3, 2, 1)}, ParcelSentBack, 3, true},
		{"sent back stays so", []CourierReport{report(ParcelSentBack, 2, 1), report(ParcelSigned, 3, 2, 1)}, ParcelSentBack, 3, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Shipment{State: ParcelPosted}
			var news bool
			for _, r := range tt.reports {
				news = s.hear(r)
			}
			if s.State != tt.want || len(s.Track) != tt.lines || news != tt.news {
				t.Errorf("%s with %d lines, news %v; want %s, %d, %v", s.State, len(s.Track), news, tt.want, tt.lines, tt.news)
			}
			for i := 1; i < len(s.Track); i++ {
				if s.Track[i].At.Before(s.Track[i-1].At) {
					t.Errorf("line %d is older than the one before", i)
				}
			}
		})
	}
}

// Every state of a parcel has a name and a rank of its own.
func TestParcelStates(t *testing.T) {
	ranks, labels := map[int]bool{}, map[string]bool{}
	for p, s := range parcelStates {
		if s.label == "" || ranks[s.rank] || labels[s.label] {
			t.Errorf("%s: rank %d, label %q", p, s.rank, s.label)
		}
		ranks[s.rank], labels[s.label] = true, true
	}
}
