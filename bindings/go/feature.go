package nswatch

import (
	"fmt"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// A Feature makes watchers better where it is there; they do without where it is not.
type Feature uint32

const (
	// FeatureMountEvents: fanotify reports mounts, on Linux 6.15 with CAP_SYS_ADMIN over the mount namespace.
	// Without, by FeatureMountPoll.
	FeatureMountEvents Feature = capi.FeatureMountEvents
	// FeatureMountPoll: a kernel AIO poll of mountinfo, since Linux 4.18, where AIO is not forbidden. Without both this
	// and FeatureMountEvents, mountinfo itself is polled, whose readiness is gone once polled.
	FeatureMountPoll Feature = capi.FeatureMountPoll
	// FeatureCookie: namespaces have a cookie, a number that the kernel never reuses, since Linux 6.18. Without,
	// Netns.Cookie is 0.
	FeatureCookie Feature = capi.FeatureCookie
	// FeatureMountID: mounts have an id that is never used again, since Linux 6.8. A mount that goes is traced to
	// its names by it; without, with MountEvents, each change of a mount costs a look at every known name.
	FeatureMountID Feature = capi.FeatureMountID
	// FeatureNSHandles: a file handle says in one system call which namespace a name leads to, since Linux 6.18.
	// Without, names are opened.
	FeatureNSHandles Feature = capi.FeatureNSHandles
	// FeatureStatmount: statmount(2) says what a mount is mounted on, since Linux 6.8. Without, with MountEvents, each
	// mount that comes costs a look at every known name.
	FeatureStatmount Feature = capi.FeatureStatmount
	// FeatureTargetNSID: a peer's ids can be asked for, given CAP_NET_ADMIN over it, since Linux 5.0. Without,
	// TranslateNSID fails, and AllNSID tells of peers only what is notified.
	FeatureTargetNSID Feature = capi.FeatureTargetNSID
	// FeatureAllNSID: what happens in peers can be listened to, since Linux 4.2 with CAP_NET_BROADCAST. Without, Open
	// with AllNSID is EPERM.
	FeatureAllNSID Feature = capi.FeatureAllNSID
	// FeatureListNS: listns(2) lists every network namespace, since Linux 6.19, since 7.0 with CAP_SYS_ADMIN in the initial
	// user and pid namespaces. Without, All goes through mounts, processes and their descriptors.
	FeatureListNS Feature = capi.FeatureListNS
	// FeatureBirths: All reports new namespaces as they are made, by perf records, with CAP_PERFMON or CAP_SYS_ADMIN in the
	// initial user namespace. Without, it notices them when mounts change, when a namespace dies, and at a Resync.
	FeatureBirths Feature = capi.FeatureBirths
	// FeatureDeaths: All reports deaths as they happen, from a network namespace of its own, with CAP_SYS_ADMIN and
	// CAP_NET_ADMIN, or where user namespaces may be made. Without, it notices them at a Resync, as far as the kernel says so.
	FeatureDeaths Feature = capi.FeatureDeaths
)

// Has tells whether a watcher that the calling goroutine's thread opened now would have a feature. It is found out by
// trying, each time. The error is EINVAL for a number that is no feature, EMFILE or another one where a limit is in the
// way, EOPNOTSUPP without /proc.
func Has(feature Feature) (bool, error) {
	rc := capi.Feature(uint32(feature))
	return rc == 1, check(fmt.Sprintf("try feature %d", feature), "", rc)
}
