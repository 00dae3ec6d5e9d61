package incident

// The types below are the part of OCSF's Detection Finding class (2004) that
// messages use, with OCSF's own names. Only attributes of the released
// version ocsfVersion are used. https://schema.ocsf.io/
const ocsfVersion = "1.5.0"

type detection struct {
	ActivityID   int          `json:"activity_id"`
	ActivityName string       `json:"activity_name"`
	CategoryUID  int          `json:"category_uid"`
	CategoryName string       `json:"category_name"`
	ClassUID     int          `json:"class_uid"`
	ClassName    string       `json:"class_name"`
	TypeUID      int          `json:"type_uid"`
	Time         int64        `json:"time"` // ms since the epoch
	SeverityID   int          `json:"severity_id"`
	Severity     string       `json:"severity"`
	StatusID     int          `json:"status_id"`
	ConfidenceID int          `json:"confidence_id"`
	Confidence   int          `json:"confidence_score"` // percent
	IsAlert      bool         `json:"is_alert"`
	Message      string       `json:"message"`
	Metadata     metadata     `json:"metadata"`
	FindingInfo  findingInfo  `json:"finding_info"`
	Resources    []resource   `json:"resources"`
	Evidences    []evidence   `json:"evidences"`
	Observables  []observable `json:"observables"`
	Cloud        cloud        `json:"cloud"`
	Unmapped     unmapped     `json:"unmapped"`
}

type metadata struct {
	Version         string   `json:"version"`
	Product         product  `json:"product"`
	CorrelationUID  string   `json:"correlation_uid"`
	Profiles        []string `json:"profiles"`
	Labels          []string `json:"labels,omitempty"`
	IsTruncated     bool     `json:"is_truncated,omitempty"`
	UntruncatedSize int      `json:"untruncated_size,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version"`
}

type findingInfo struct {
	UID         string   `json:"uid"`
	Title       string   `json:"title"`
	Desc        string   `json:"desc"`
	Types       []string `json:"types,omitempty"` // finding kinds
	Analytic    analytic `json:"analytic"`
	Attacks     []attack `json:"attacks,omitempty"`
	CreatedTime int64    `json:"created_time"`
	FirstSeen   int64    `json:"first_seen_time,omitempty"`
	LastSeen    int64    `json:"last_seen_time,omitempty"`
}

type analytic struct {
	Name   string `json:"name"`
	UID    string `json:"uid"`
	TypeID int    `json:"type_id"` // 1: rule
}

type attack struct {
	Version   string    `json:"version"`
	Tactic    named     `json:"tactic"`
	Technique technique `json:"technique"`
}

type named struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type technique = named

type resource struct {
	UID    string `json:"uid"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Region string `json:"region,omitempty"`
	Owner  *owner `json:"owner,omitempty"`
}

type owner struct {
	Name string `json:"name"`
}

// evidence is the proof of one finding.
type evidence struct {
	UID        string      `json:"uid,omitempty"` // the same for the same finding in the same file, whoever analyses it again
	Name       string      `json:"name"`          // the finding's kind
	Source     *endpoint   `json:"src_endpoint,omitempty"`
	Dest       *endpoint   `json:"dst_endpoint,omitempty"`
	Connection *connection `json:"connection_info,omitempty"`
	Data       proof       `json:"data"`
	File       *file       `json:"file,omitempty"`
}

type proof struct {
	Summary    string         `json:"summary"`
	Severity   string         `json:"severity"`
	Confidence float64        `json:"confidence"`
	Culprit    string         `json:"culprit"`
	Count      int            `json:"count"`
	Packets    []int64        `json:"packets"`
	Detail     map[string]any `json:"detail,omitempty"`
	NextStep   string         `json:"next_step"`
}

type endpoint struct {
	IP   string `json:"ip"`
	Port uint16 `json:"port,omitempty"`
	Name string `json:"hostname,omitempty"`
}

type connection struct {
	ProtocolName string `json:"protocol_name"`
	DirectionID  int    `json:"direction_id"` // 0: unknown
}

type file struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"` // 1: regular file
	Size   int64  `json:"size"`
	Hashes []hash `json:"hashes,omitempty"`
}

type hash struct {
	AlgorithmID int    `json:"algorithm_id"` // 3: SHA-256
	Algorithm   string `json:"algorithm"`
	Value       string `json:"value"`
}

type observable struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"` // 1 hostname, 2 IP address, 8 hash, 10 resource UID
	Type   string `json:"type"`
	Value  string `json:"value"`
}

type cloud struct {
	Provider string  `json:"provider"`
	Account  account `json:"account"`
	Region   string  `json:"region,omitempty"`
}

type account struct {
	UID string `json:"uid"`
}

// unmapped is what OCSF has no place for.
type unmapped struct {
	Incident    string    `json:"incident"`
	Case        string    `json:"case"`
	Alert       string    `json:"alert,omitempty"`
	AlertRule   string    `json:"alert_rule,omitempty"`
	Profile     string    `json:"profile,omitempty"`
	Verdict     verdict   `json:"verdict"`
	Coverage    coverage  `json:"coverage"`
	Report      reference `json:"report"`
	Analysis    reference `json:"analysis"`
	Manifest    reference `json:"manifest"`
	Vault       string    `json:"evidence,omitempty"` // the capture itself
	Omitted     int       `json:"findings_omitted,omitempty"`
	DeleteAfter string    `json:"delete_after,omitempty"`
}

type verdict struct {
	Cause      string  `json:"cause"`
	Culprit    string  `json:"culprit"`
	Summary    string  `json:"summary"`
	Confidence float64 `json:"confidence"`
	NextStep   string  `json:"next_step"`
}

type coverage struct {
	Packets   int64  `json:"packets"`
	Bytes     int64  `json:"bytes"`
	First     string `json:"first_packet,omitempty"`
	Last      string `json:"last_packet,omitempty"`
	Truncated int64  `json:"truncated_packets"`
	CutShort  bool   `json:"cut_short"`
	Dropped   int64  `json:"dropped"`
	Partial   bool   `json:"partial"` // a cap of the analysis was reached
}

type reference struct {
	Location string `json:"location"` // needs the reader's own rights; never a SAS
	SHA256   string `json:"sha256"`
}
