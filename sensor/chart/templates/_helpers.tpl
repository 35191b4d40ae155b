{{- define "sensor.name" -}}{{ printf "%s" .Release.Name | trunc 53 | trimSuffix "-" }}{{- end }}
{{- define "sensor.selector" -}}
app.kubernetes.io/name: seawall-sensor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "sensor.labels" -}}
{{ include "sensor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
{{- define "sensor.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
{{- define "sensor.health" -}}
{host: {{ if .Values.podMonitor.enabled }}"" {{ else }}127.0.0.1{{ end }}, path: /healthz, port: {{ .Values.status.port }}}
{{- end }}
