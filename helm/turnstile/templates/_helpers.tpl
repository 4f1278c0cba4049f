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

{{- define "turnstile.release" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "turnstile.labels" -}}
{{ include "turnstile.selector" . }}
{{ include "turnstile.release" . }}
{{- end -}}

{{/* 52 characters again, with the ending: it names a StatefulSet, too. */}}
{{- define "turnstile.deliver.fullname" -}}
{{ include "turnstile.fullname" . | trunc 44 | trimSuffix "-" }}-deliver
{{- end -}}

{{- define "turnstile.deliver.selector" -}}
app.kubernetes.io/name: {{ include "turnstile.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: deliver
{{- end -}}

{{- define "turnstile.deliver.labels" -}}
{{ include "turnstile.deliver.selector" . }}
{{ include "turnstile.release" . }}
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

{{/* The users' settings, over what is only a default, under the few that have to agree with the pods around
     the programs. Delivery is always in it: switching it on restarts no worker. */}}
{{- define "turnstile.settings" -}}
{{- $lookups := printf "http://%s.%s.svc:%d" (include "turnstile.fullname" .) .Release.Namespace (int .Values.service.port) -}}
{{- $default := dict "deliver" (dict "lookup_url" $lookups) -}}
{{- $http := dict "host" "0.0.0.0" "port" (int .Values.http.port) -}}
{{- $deliver := dict "host" "0.0.0.0" "port" (int .Values.deliver.port) -}}
{{- $own := dict "http" $http "deliver" $deliver "worker" (dict "data_dir" "/var/lib/turnstile") -}}
{{- mergeOverwrite $default (deepCopy .Values.settings) $own | toYaml -}}
{{- end -}}

{{/* What the pods of workers and of delivery have in common, ahead of their containers. */}}
{{- define "turnstile.pod" -}}
serviceAccountName: {{ include "turnstile.serviceAccount" . }}
automountServiceAccountToken: false
# Variables named after services (TURNSTILE_PORT=tcp://…) would be read as settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # Else each start changes the owner of every file on the volume.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "turnstile.container" -}}
image: {{ include "turnstile.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* POD_NAME first: Kubernetes expands $(POD_NAME) only after it. The pod's name outlives the pod, and so does its
     membership in consumer groups. */}}
{{- define "turnstile.environment" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: TURNSTILE_SETTINGS_FILE
  value: /etc/turnstile/turnstile.yaml
- name: TURNSTILE_WORKER__ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}

{{/* Both probes of a running program, on the port `http`. */}}
{{- define "turnstile.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: {{ .Values.probes.livenessPeriodSeconds }}
  timeoutSeconds: {{ .Values.probes.timeoutSeconds }}
  failureThreshold: {{ .Values.probes.livenessFailures }}
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: {{ .Values.probes.readinessPeriodSeconds }}
  timeoutSeconds: {{ .Values.probes.timeoutSeconds }}
  failureThreshold: {{ .Values.probes.readinessFailures }}
{{- end -}}

{{/* A list: the root, and the name of the template with the pods' selector. */}}
{{- define "turnstile.scheduling" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- with $root.Values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include (index . 1) $root | nindent 8 }}
  {{- end }}
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
{{- if and .Values.deliver.enabled (gt (int .Values.deliver.replicas) $partitions) -}}
{{- fail (printf "deliver.replicas is %d, settings.topics.partitions is %d: pods beyond the partitions would stand idle" (int .Values.deliver.replicas) $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}
