package nswatch

import (
	"fmt"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// A Feature is an optional feature of the kernel. A watcher uses it where it is available, and a fallback elsewhere.
type Feature uint32

const (
	// FeatureMountEvents: fanotify reports mounts. Requires Linux 6.15 and CAP_SYS_ADMIN over the mount namespace.
	// Fallback: FeatureMountPoll.
	FeatureMountEvents Feature = capi.FeatureMountEvents
	// FeatureMountPoll: a kernel AIO poll of mountinfo. Requires Linux 4.18, and no filter against AIO. Without this and
	// FeatureMountEvents the watcher polls mountinfo itself, where one poll consumes the wake-up.
	FeatureMountPoll Feature = capi.FeatureMountPoll
	// FeatureCookie: namespaces have a cookie, a number that the kernel never reuses. Requires Linux 6.18. Without it
	// Netns.Cookie is 0.
	FeatureCookie Feature = capi.FeatureCookie
	// FeatureMountID: mounts have an id that the kernel never reuses. Requires Linux 6.8. The watcher finds the names of
	// an unmounted mount by it. Fallback, with MountEvents: each change of a mount makes it probe every known name.
	FeatureMountID Feature = capi.FeatureMountID
	// FeatureNSHandles: a file handle identifies the namespace of a name in one system call. Requires Linux 6.18.
	// Fallback: the watcher opens the name.
	FeatureNSHandles Feature = capi.FeatureNSHandles
	// FeatureStatmount: statmount(2) returns the mount point of a mount. Requires Linux 6.8. Fallback, with MountEvents:
	// each new mount makes the watcher probe every known name.
	FeatureStatmount Feature = capi.FeatureStatmount
	// FeatureTargetNSID: the kernel lists the nsids of a peer. Requires Linux 5.0, and CAP_NET_ADMIN over the peer.
	// Without it TranslateNSID fails, and with AllNSID a watcher reports only the changes in peers.
	FeatureTargetNSID Feature = capi.FeatureTargetNSID
	// FeatureAllNSID: the kernel reports changes in peers. Requires Linux 4.2 and CAP_NET_BROADCAST. Without it Open with
	// AllNSID fails with EPERM.
	FeatureAllNSID Feature = capi.FeatureAllNSID
	// FeatureListNS: listns(2) lists every network namespace. Requires Linux 6.19, since 7.0 also CAP_SYS_ADMIN in the
	// initial user and pid namespaces. Fallback: All searches mounts, processes and their descriptors.
	FeatureListNS Feature = capi.FeatureListNS
	// FeatureBirths: All reports new namespaces as they are made, by perf records. Requires CAP_PERFMON or CAP_SYS_ADMIN in
	// the initial user namespace. Fallback: it finds them when mounts change, when a namespace dies, and at a Resync.
	FeatureBirths Feature = capi.FeatureBirths
	// FeatureDeaths: All reports deaths as they happen, from a network namespace of its own. Requires CAP_SYS_ADMIN and
	// CAP_NET_ADMIN, or permission to make user namespaces. Fallback: it finds them at a Resync, as far as the kernel
	// reports them.
	FeatureDeaths Feature = capi.FeatureDeaths
)

// Has returns whether a watcher opened by the calling goroutine's thread now would have a feature. Each call probes the
// kernel. The error is EINVAL for an unknown feature, EMFILE or another one if a limit prevents the probe, EOPNOTSUPP
// without /proc.
func Has(feature Feature) (bool, error) {
	rc := capi.Feature(uint32(feature))
	return rc == 1, check(fmt.Sprintf("try the feature %d", feature), "", rc)
}
