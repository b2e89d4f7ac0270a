package contract

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

const parcel = "SF1234567890123"

func (w *world) servePush(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	report, err := w.courier.ParsePush(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused = append(w.refused, err.Error())
		http.Error(rw, `{"result":false,"returnCode":"403"}`, http.StatusForbidden)
		return
	}
	w.reports = append(w.reports, report)
	_, _ = io.WriteString(rw, `{"result":true,"returnCode":"200","message":"成功"}`)
}

func (w *world) moves(how string) (p sim.Parcel) {
	w.t.Helper()
	w.control(http.MethodPost, "parcel", map[string]string{"number": parcel, "how": how}, &p)
	return p
}

// Row 48: a parcel is followed and its courier's word arrives, whole each time.
func TestParcelIsFollowed(t *testing.T) {
	w := newWorld(t)
	for range 2 { // asking again is harmless
		if err := w.courier.Follow(t.Context(), "sf", parcel, "7069"); err != nil {
			t.Fatal(err)
		}
	}
	states := []order.ParcelState{order.ParcelPickedUp, order.ParcelInTransit, order.ParcelTroubled, order.ParcelDelivering, order.ParcelReturning, order.ParcelSentBack, order.ParcelSigned}
	for i, how := range []string{"pick_up", "transit", "trouble", "deliver", "return", "back", "sign"} {
		if p := w.moves(how); !p.Pushes[i].Taken {
			t.Fatalf("%s was not taken: %+v", how, p.Pushes[i].Attempts)
		}
		got := w.reports[len(w.reports)-1]
		if got.State != states[i] || got.TrackingNo != parcel || len(got.Track) != i+1 {
			t.Errorf("%s: %+v", how, got)
		}
	}
	w.moves("late")
	if got := w.reports[len(w.reports)-1]; got.State != order.ParcelSentBack || len(got.Track) != 6 {
		t.Errorf("late: %+v", got)
	}
	w.moves("repeat")
	if got := w.reports[len(w.reports)-1]; got.State != order.ParcelSigned || len(got.Track) != 7 {
		t.Errorf("repeated: %+v", got)
	}
	if p := w.moves("forge"); p.Pushes[len(p.Pushes)-1].Taken || len(w.refused) != 1 {
		t.Errorf("forged: %v", w.refused)
	}
}

// What the product cannot take now is pushed again.
func TestPushIsRepeated(t *testing.T) {
	w := newWorld(t)
	if err := w.courier.Follow(t.Context(), "sf", parcel, "7069"); err != nil {
		t.Fatal(err)
	}
	w.fault(sim.Fault{Family: "courier.push", Repeat: 2})
	if p := w.moves("pick_up"); len(p.Pushes[0].Attempts) != 3 || len(w.reports) != 3 {
		t.Errorf("%d attempts, %d heard", len(p.Pushes[0].Attempts), len(w.reports))
	}
}

func TestParcelThatIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct {
		fault   *sim.Fault
		key     string
		carrier string
		phone   string
		want    order.Kind
	}{
		"its server is down":     {&sim.Fault{Family: "courier.poll", Status: 500}, "courier-key", "sf", "7069", order.Unavailable},
		"its server fails":       {&sim.Fault{Family: "courier.poll", Code: "500"}, "courier-key", "sf", "7069", order.Unavailable},
		"its answer is lost":     {&sim.Fault{Family: "courier.poll", After: true}, "courier-key", "ems", "7069", order.Unavailable},
		"not our account":        {nil, "other-key", "sf", "7069", order.Invalid},
		"SF without a telephone": {nil, "courier-key", "sf", "", order.Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.fault != nil {
				w.fault(*tt.fault)
			}
			if err := w.follower(tt.key).Follow(t.Context(), tt.carrier, "SF99999999"+tt.phone, tt.phone); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
