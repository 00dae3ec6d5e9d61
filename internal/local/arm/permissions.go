package arm

import "net/http"

// listPermissions tells the caller that it may do everything but what the
// world says it lacks.
// https://learn.microsoft.com/rest/api/authorization/permissions
func (s *Server) listPermissions(*request) *answer {
	type permission struct {
		Actions    []string `json:"actions"`
		NotActions []string `json:"notActions"`
	}
	lacks := append([]string{}, s.world.Lacks...)
	return &answer{status: http.StatusOK, body: map[string]any{"value": []permission{{Actions: []string{"*"}, NotActions: lacks}}}}
}
