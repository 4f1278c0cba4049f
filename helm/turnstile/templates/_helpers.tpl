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
app.kubernetes.io/name: {{ include "turnstile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: worker
{{- end -}}

{{- define "turnstile.release" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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
app.kubernetes.io/name: {{ include "turnstile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: deliver
{{- end -}}

{{- define "turnstile.deliver.labels" -}}
{{ include "turnstile.deliver.selector" . }}
{{ include "turnstile.release" . }}
{{- end -}}

{{- define "turnstile.serve.fullname" -}}
{{ include "turnstile.fullname" . | trunc 44 | trimSuffix "-" }}-serve
{{- end -}}

{{- define "turnstile.serve.selector" -}}
app.kubernetes.io/name: {{ include "turnstile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: serve
{{- end -}}

{{- define "turnstile.serve.labels" -}}
{{ include "turnstile.serve.selector" . }}
{{ include "turnstile.release" . }}
{{- end -}}

{{- define "turnstile.push.fullname" -}}
{{ include "turnstile.fullname" . | trunc 44 | trimSuffix "-" }}-push
{{- end -}}

{{- define "turnstile.push.selector" -}}
app.kubernetes.io/name: {{ include "turnstile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: push
{{- end -}}

{{- define "turnstile.push.labels" -}}
{{ include "turnstile.push.selector" . }}
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

{{- define "turnstile.scheme" -}}
{{ ternary "https" "http" (not (empty .Values.tls.existingSecret)) }}
{{- end -}}

{{/* Where pods reach any worker. */}}
{{- define "turnstile.url" -}}
{{ include "turnstile.scheme" . }}://{{ include "turnstile.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end -}}

{{/* The users' settings, over what is only a default, under those that have to agree with the pods around the programs.
     Delivery and readers are always in it: switching them on restarts no worker. */}}
{{- define "turnstile.settings" -}}
{{- $default := dict "deliver" (dict "lookup_url" (include "turnstile.url" .)) -}}
{{- $http := dict "host" "0.0.0.0" "port" (int .Values.http.port) "probe_port" (int .Values.http.probePort) -}}
{{- $_ := set $http "api_keys_file" (printf "/run/turnstile/api-keys/%s" .Values.apiKeys.key) -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $http "tls_cert_file" "/run/turnstile/tls/tls.crt" -}}
{{- $_ := set $http "tls_key_file" "/run/turnstile/tls/tls.key" -}}
{{- with .Values.tls.caKey -}}
{{- $_ := set $http "tls_ca_file" (printf "/run/turnstile/tls/%s" .) -}}
{{- end -}}
{{- end -}}
{{- $deliver := dict "host" "0.0.0.0" "port" (int .Values.deliver.port) "probe_port" (int .Values.deliver.probePort) "secrets_dir" "/run/turnstile/destinations" -}}
{{- $serve := dict "host" "0.0.0.0" "port" (int .Values.serve.port) "probe_port" (int .Values.serve.probePort) "data_dir" "/var/lib/turnstile" -}}
{{- $pushes := dict "host" "0.0.0.0" "port" (int .Values.push.port) "probe_port" (int .Values.push.probePort) "data_dir" "/var/lib/turnstile" -}}
{{- $own := dict "http" $http "deliver" $deliver "serve" $serve "pushes" $pushes "worker" (dict "data_dir" "/var/lib/turnstile") -}}
{{- $kafka := dict -}}
{{- if or .Values.kafka.ca.existingSecret .Values.kafka.ca.existingConfigMap -}}
{{- $_ := set $kafka "ssl_cafile" (printf "/run/turnstile/kafka-ca/%s" .Values.kafka.ca.key) -}}
{{- end -}}
{{- with .Values.kafka.certificate -}}
{{- if .existingSecret -}}
{{- $_ := set $kafka "ssl_certfile" (printf "/run/turnstile/kafka-certificate/%s" .certificateKey) -}}
{{- $_ := set $kafka "ssl_keyfile" (printf "/run/turnstile/kafka-certificate/%s" .keyKey) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $own "kafka" $kafka -}}
{{- mergeOverwrite $default (deepCopy .Values.settings) $own | toYaml -}}
{{- end -}}

{{/* What the programs read from files: settings, keys, certificates. A mounted Secret follows its changes; one file of
     it (subPath) wouldn't. 288 is 0440: the group is the pod's fsGroup. */}}
{{- define "turnstile.volumes" -}}
- name: settings
  configMap:
    name: {{ include "turnstile.fullname" . | quote }}
- name: tmp
  emptyDir: {}
- name: api-keys
  secret:
    secretName: {{ .Values.apiKeys.existingSecret | quote }}
    defaultMode: 288
    items:
      - key: {{ .Values.apiKeys.key | quote }}
        path: {{ .Values.apiKeys.key | quote }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 288
{{- end }}
{{- with .Values.kafka.ca.existingSecret }}
- name: kafka-ca
  secret:
    secretName: {{ . | quote }}
    defaultMode: 288
    items:
      - key: {{ $.Values.kafka.ca.key | quote }}
        path: {{ $.Values.kafka.ca.key | quote }}
{{- end }}
{{- with .Values.kafka.ca.existingConfigMap }}
- name: kafka-ca
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.certificate.existingSecret }}
- name: kafka-certificate
  secret:
    secretName: {{ . | quote }}
    defaultMode: 288
    items:
      - key: {{ $.Values.kafka.certificate.certificateKey | quote }}
        path: {{ $.Values.kafka.certificate.certificateKey | quote }}
      - key: {{ $.Values.kafka.certificate.keyKey | quote }}
        path: {{ $.Values.kafka.certificate.keyKey | quote }}
{{- end }}
{{- end -}}

{{- define "turnstile.mounts" -}}
- name: settings
  mountPath: /etc/turnstile
  readOnly: true
- name: tmp
  mountPath: /tmp
- name: api-keys
  mountPath: /run/turnstile/api-keys
  readOnly: true
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /run/turnstile/tls
  readOnly: true
{{- end }}
{{- if or .Values.kafka.ca.existingSecret .Values.kafka.ca.existingConfigMap }}
- name: kafka-ca
  mountPath: /run/turnstile/kafka-ca
  readOnly: true
{{- end }}
{{- if .Values.kafka.certificate.existingSecret }}
- name: kafka-certificate
  mountPath: /run/turnstile/kafka-certificate
  readOnly: true
{{- end }}
{{- end -}}

{{/* What the pods of workers, readers and delivery have in common, ahead of their containers. */}}
{{- define "turnstile.pod" -}}
serviceAccountName: {{ include "turnstile.serviceAccount" . | quote }}
automountServiceAccountToken: false
# Variables named after services (TURNSTILE_PORT=tcp://…) would be read as settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
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
{{- with .Values.kafka.existingSecret }}
{{- with $.Values.kafka.usernameKey }}
- name: TURNSTILE_KAFKA__SASL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.kafka.existingSecret | quote }}
      key: {{ . | quote }}
{{- end }}
- name: TURNSTILE_KAFKA__SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $.Values.kafka.passwordKey | quote }}
{{- end }}
{{- with .Values.kafka.oauth.existingSecret }}
- name: TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $.Values.kafka.oauth.clientSecretKey | quote }}
{{- end }}
{{- end -}}

{{/* All probes, on a port of their own, and the seconds that a start may take. A list: the root, the seconds. The
     startup probe waits on /livez, not /readyz: a worker that recovers for long is at work, and a restart would only
     begin the recovery again. */}}
{{- define "turnstile.probes" -}}
{{- $probes := (index . 0).Values.probes -}}
startupProbe:
  httpGet:
    path: /livez
    port: probes
  periodSeconds: {{ $probes.startupPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ ceil (divf (index . 1) $probes.startupPeriodSeconds) }}
livenessProbe:
  httpGet:
    path: /livez
    port: probes
  periodSeconds: {{ $probes.livenessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.livenessFailures }}
readinessProbe:
  httpGet:
    path: /readyz
    port: probes
  periodSeconds: {{ $probes.readinessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.readinessFailures }}
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

{{/* Whom the release's own pods and those that users name are, as peers of the HTTP ports. */}}
{{- define "turnstile.peers" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "turnstile.name" . | quote }}
      app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- with .Values.networkPolicy.allowFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "turnstile.ingress" -}}
- ports:
    - port: http
  from:
    {{- include "turnstile.peers" . | nindent 4 }}
{{- with .Values.networkPolicy.metricsFrom }}
- ports:
    - port: probes
  from:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .Values.networkPolicy.extraIngress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Names are asked of whoever the node names; a node's own cache has an address that no selector fits. */}}
{{- define "turnstile.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- $ports := .Values.networkPolicy.egressPorts -}}
{{- range splitList "," (dig "kafka" "bootstrap" "" .Values.settings) -}}
{{- with regexFind "[0-9]+$" (trim .) -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- end }}
{{- $whole := list -}}
{{- range $ports }}{{ $whole = append $whole (int .) }}{{ end -}}
{{- include "turnstile.egressTo" (list (uniq $whole) .Values.networkPolicy.egressTo) }}
# Workers ask each other, and delivery and readers ask workers.
- ports:
    - port: http
  to:
    - podSelector:
        matchLabels:
          {{- include "turnstile.selector" . | nindent 10 }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A list: ports, and peers; no peers are any address, no ports are no rule. */}}
{{- define "turnstile.egressTo" -}}
{{- $to := index . 1 -}}
{{- with index . 0 }}
- ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
  {{- with $to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The first lines of an error are what is read: what is missing, then how to make it. */}}
{{- define "turnstile.checkKeys" -}}
{{- if not .Values.apiKeys.existingSecret -}}
{{- $secret := printf "%s-api-keys" (include "turnstile.fullname" .) -}}
{{- fail (printf `

apiKeys.existingSecret is empty. Without API keys the pods would not start, because anybody in the cluster could read and change everything. Make a key, make the Secret with its hash, and give the Secret's name:

  KEY=$(openssl rand -hex 32)
  kubectl --namespace %s create secret generic %s --from-literal=%s="[{name: first, sha256: \"$(printf %%s "$KEY" | sha256sum | cut -c1-64)\", scopes: [admin]}]"
  helm ... --set apiKeys.existingSecret=%s

Keep $KEY for those who send it, in the header api-key: the Secret has only its hash.
` .Release.Namespace $secret .Values.apiKeys.key $secret) -}}
{{- end -}}
{{- end -}}

{{- define "turnstile.checkAuthorities" -}}
{{- $ca := .Values.kafka.ca -}}
{{- if and $ca.existingSecret $ca.existingConfigMap -}}
{{- fail "kafka.ca.existingSecret and kafka.ca.existingConfigMap are both given: give the one that has the certificate" -}}
{{- end -}}
{{- if and (or $ca.existingSecret $ca.existingConfigMap) (dig "kafka" "ssl_cafile" "" .Values.settings) -}}
{{- fail "settings.kafka.ssl_cafile and kafka.ca are both given: give one" -}}
{{- end -}}
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
