package dissect

import "slices"

// What tshark takes a TCP connection for depends on its ports first and on
// its bytes then. Where it decides by the port for something else, it shows
// neither TLS nor HTTP, and so they do not count; they are read all the same.
// The lists were found by asking tshark 4.0.17, with default preferences, for
// what it makes of either protocol at every TCP port that it knows.

// tlsPorts are the ports where tshark expects TLS.
var tlsPorts = []uint16{
	324, 443, 465, 636, 802, 853, 993, 995, 1300, 2221, 2443, 3249, 3250, 3251, 3252, 3496, 5061, 5671, 5684, 5868, 8883,
	11207, 19999, 27017,
}

// httpPorts are the ports where tshark expects HTTP, and TLS does not count.
var httpPorts = []uint16{80, 631, 1900, 2710, 2869, 3128, 3132, 3689, 5985, 8080, 8088, 11371}

// Ports of other protocols that leave no room for TLS, but for HTTP, and the
// other way round.
var (
	httpOnly = []uint16{1344, 3002, 3003, 3006, 3386, 4222, 4249, 4250, 5000, 5094}
	tlsOnly  = []uint16{143, 674, 2501, 22222}
)

// taken are the ports, from and to, of protocols that leave room for neither.
var taken = [][2]uint16{
	{7, 7}, {13, 13}, {19, 23}, {25, 25}, {37, 37}, {42, 43}, {49, 49}, {53, 53}, {70, 70}, {79, 79}, {88, 88}, {102, 102},
	{110, 111}, {119, 119}, {123, 123}, {139, 139}, {161, 162}, {179, 179}, {210, 210}, {323, 323}, {389, 389}, {427, 427},
	{445, 445}, {464, 464}, {500, 500}, {512, 515}, {524, 524}, {547, 548}, {554, 554}, {564, 564}, {587, 587}, {639, 639},
	{647, 647}, {705, 705}, {854, 854}, {862, 862}, {873, 873}, {925, 925}, {988, 988}, {1080, 1080}, {1090, 1090}, {1099, 1099},
	{1102, 1102}, {1153, 1153}, {1194, 1194}, {1213, 1213}, {1433, 1433}, {1533, 1533}, {1547, 1547}, {1723, 1723}, {1861, 1861},
	{1863, 1863}, {1883, 1883}, {1935, 1935}, {2099, 2099}, {2123, 2123}, {2126, 2126}, {2152, 2152}, {2234, 2234}, {2240, 2240},
	{2269, 2269}, {2321, 2322}, {2345, 2345}, {2401, 2401}, {2404, 2404}, {2433, 2433}, {2502, 2502}, {2571, 2571}, {2575, 2575},
	{2600, 2600}, {2812, 2812}, {2944, 2945}, {3014, 3014}, {3016, 3019}, {3245, 3248}, {3268, 3268}, {3288, 3288}, {3306, 3306},
	{3357, 3357}, {3369, 3369}, {3452, 3452}, {3478, 3478}, {3632, 3632}, {3671, 3671}, {3724, 3724}, {3804, 3804}, {3860, 3860},
	{3863, 3863}, {3868, 3868}, {3918, 3918}, {4002, 4002}, {4155, 4155}, {4189, 4189}, {4223, 4223}, {4342, 4342}, {4420, 4420},
	{4551, 4551}, {4555, 4556}, {4712, 4712}, {4730, 4730}, {4739, 4739}, {4788, 4788}, {4840, 4840}, {4880, 4880}, {5010, 5010},
	{5060, 5060}, {5084, 5084}, {5222, 5222}, {5253, 5253}, {5353, 5353}, {5432, 5432}, {5445, 5445}, {5500, 5501}, {5534, 5534},
	{5672, 5672}, {5683, 5683}, {5701, 5701}, {5900, 5901}, {5997, 5997}, {6000, 6063}, {6068, 6068}, {6084, 6084}, {6121, 6121},
	{6160, 6160}, {6346, 6346}, {6379, 6379}, {6417, 6417}, {6653, 6653}, {6667, 6668}, {6881, 6889}, {7000, 7000}, {7075, 7075},
	{7171, 7172}, {7236, 7236}, {7275, 7276}, {7871, 7871}, {7911, 7911}, {8009, 8009}, {8023, 8023}, {8074, 8074}, {8085, 8085},
	{8554, 8554}, {8567, 8567}, {9009, 9009}, {9092, 9092}, {9300, 9300}, {9418, 9418}, {9956, 9956}, {10288, 10288},
	{11211, 11211}, {13400, 13400}, {14001, 14001}, {15740, 15740}, {17500, 17500}, {17755, 17756}, {19006, 19006}, {19042, 19043},
	{19506, 19506}, {19543, 19543}, {21064, 21064}, {24800, 24800}, {29418, 29418}, {34980, 34980}, {44321, 44322}, {44818, 44818},
	{48049, 48049}, {48898, 48898}, {57000, 57000},
}

func isTaken(port uint16) bool {
	_, found := slices.BinarySearchFunc(taken, port, func(r [2]uint16, p uint16) int {
		switch {
		case p < r[0]:
			return 1
		case p > r[1]:
			return -1
		}
		return 0
	})
	return found
}

// sorted returns the two ports in the order in which tshark asks them.
func sorted(a, b uint16) [2]uint16 { return [2]uint16{min(a, b), max(a, b)} }

// tlsCounts reports whether tshark would see TLS between these ports.
func tlsCounts(a, b uint16) bool {
	for _, p := range sorted(a, b) {
		switch {
		case slices.Contains(tlsPorts, p):
			return true
		case isTaken(p), slices.Contains(httpPorts, p), slices.Contains(httpOnly, p):
			return false
		}
	}
	return true
}

// httpCounts reports whether tshark would see HTTP between these ports.
func httpCounts(a, b uint16) bool {
	for _, p := range sorted(a, b) {
		switch {
		case slices.Contains(httpPorts, p):
			return true
		case isTaken(p), slices.Contains(tlsOnly, p):
			return false
		}
	}
	return true
}

func isTLSPort(a, b uint16) bool {
	return slices.Contains(tlsPorts, a) || slices.Contains(tlsPorts, b)
}

func isHTTPPort(a, b uint16) bool {
	return slices.Contains(httpPorts, a) || slices.Contains(httpPorts, b)
}
