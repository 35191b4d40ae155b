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
{{- /* What the kernel is asked for: the same in the DaemonSet and in its check, or the check would say little. */ -}}
{{- define "sensor.securityContext" -}}
runAsUser: 0
readOnlyRootFilesystem: true
{{- if .Values.privileged }}
privileged: true
{{- else }}
privileged: false
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
  add: {{- toYaml .Values.capabilities | nindent 4 }}
seccompProfile: {type: {{ .Values.seccompProfile }}}
{{- with .Values.appArmorProfile }}
appArmorProfile: {type: {{ . }}}
{{- end }}
{{- end }}
{{- with .Values.seLinuxType }}
seLinuxOptions: {type: {{ . }}}
{{- end }}
{{- end }}
{{- define "sensor.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- /* The sensor sheds load at its own ceiling; the container's limit must leave it the chance. */ -}}
{{- define "sensor.memory" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if regexMatch "^[0-9]+[MG]i$" $limit -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $limit | int) (ternary 1024 1 (hasSuffix "Gi" $limit)) -}}
{{- if le $mebibytes (.Values.limits.memoryMegabytes | int64) -}}
{{- fail (printf "limits.memoryMegabytes (%v) must be below resources.limits.memory (%s): the kernel would end the sensor before it sheds load" .Values.limits.memoryMegabytes $limit) -}}
{{- end -}}
{{- end -}}
{{ .Values.limits.memoryMegabytes }}
{{- end }}
{{- define "sensor.health" -}}
{host: {{ if .Values.podMonitor.enabled }}"" {{ else }}127.0.0.1{{ end }}, path: /healthz, port: {{ .Values.status.port }}}
{{- end }}
