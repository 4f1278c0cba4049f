{{- define "turnstile.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: the StatefulSet's pods and its revision label add up to 11 more, and 63 is the limit. */}}
{{- define "turnstile.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "turnstile.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "turnstile.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "turnstile.headless" -}}
{{ include "turnstile.fullname" . }}-workers
{{- end -}}

{{- define "turnstile.selector" -}}
app.kubernetes.io/name: {{ include "turnstile.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: worker
{{- end -}}

{{- define "turnstile.labels" -}}
{{ include "turnstile.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "turnstile.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "turnstile.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "turnstile.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The users' settings, under the few that have to agree with the pod around the program. */}}
{{- define "turnstile.settings" -}}
{{- $own := dict "http" (dict "host" "0.0.0.0" "port" (int .Values.http.port)) "worker" (dict "data_dir" "/var/lib/turnstile") -}}
{{- mergeOverwrite (deepCopy .Values.settings) $own | toYaml -}}
{{- end -}}

{{/* Partitions bound the workers; 0 when the settings don't name them. */}}
{{- define "turnstile.checkReplicas" -}}
{{- $partitions := int (dig "topics" "partitions" 0 .Values.settings) -}}
{{- if $partitions -}}
{{- if and .Values.keda.enabled (gt (int .Values.keda.maxReplicas) $partitions) -}}
{{- fail (printf "keda.maxReplicas is %d, settings.topics.partitions is %d: workers beyond the partitions would stand idle" (int .Values.keda.maxReplicas) $partitions) -}}
{{- end -}}
{{- if and (not .Values.keda.enabled) (gt (int .Values.replicas) $partitions) -}}
{{- fail (printf "replicas is %d, settings.topics.partitions is %d: workers beyond the partitions would stand idle" (int .Values.replicas) $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}
