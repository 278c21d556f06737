//go:build linux

package nswatch_test

import (
	"syscall"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func has(t *testing.T, feature nswatch.Feature) bool {
	t.Helper()
	there, err := nswatch.Has(feature)
	if err != nil {
		t.Error(err)
	}
	return there
}

func TestFeatures(t *testing.T) {
	clean(t)
	for feature := nswatch.FeatureMountEvents; feature <= nswatch.FeatureDeaths; feature++ {
		if feature != 7 { // no longer used: every supported kernel has it
			has(t, feature)
		}
	}
	for _, none := range []nswatch.Feature{0, 7, nswatch.FeatureDeaths + 1000} {
		_, err := nswatch.Has(none)
		is(t, err, syscall.EINVAL)
	}

	ipNetns(t, "add", "blue")
	ready := expect(t, open(t), "created blue (replayed)", "ready blue (replayed)")
	if there := has(t, nswatch.FeatureCookie); there != (ready.Netns.Cookie != 0) {
		t.Errorf("cookies: %v, and the cookie is %d", there, ready.Netns.Cookie)
	}

	if !has(t, nswatch.FeatureAllNSID) {
		t.Error("all_nsid is not available")
	}
	unprivileged(t, func() {
		if has(t, nswatch.FeatureAllNSID) {
			t.Error("all_nsid is available without a privilege")
		}
	})
}
