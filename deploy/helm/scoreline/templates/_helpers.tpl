{{- define "scoreline.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "scoreline.labels" -}}
{{ include "scoreline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: scoreline
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "scoreline.selector" -}}
app.kubernetes.io/name: scoreline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scoreline.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "scoreline.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "scoreline.name" .) "default") }}
{{- end }}

{{- define "scoreline.kafkaCaSecret" -}}
{{- $ofStrimzi := .Values.strimzi.users.enabled | ternary (printf "%s-cluster-ca-cert" .Values.strimzi.cluster) "" }}
{{- .Values.kafka.caSecret | default $ofStrimzi }}
{{- end }}

{{- /* What a pod is told: (root, component, values, isKafkaUser). Later ones win, so each name is there once. */ -}}
{{- define "scoreline.environment" -}}
{{- $v := .root.Values }}
{{- $env := dict
  "SCORELINE_KAFKA" $v.kafka.bootstrapServers
  "SCORELINE_TOPIC_PREFIX" $v.kafka.topicPrefix
  "SCORELINE_PARTITIONS" (int $v.kafka.partitions | toString)
  "SCORELINE_REPLICATION_FACTOR" (int $v.kafka.replicationFactor | toString)
  "SCORELINE_CLICKHOUSE_HOST" $v.clickhouse.host
  "SCORELINE_CLICKHOUSE_PORT" (int $v.clickhouse.port | toString)
  "SCORELINE_CLICKHOUSE_DATABASE" $v.clickhouse.database
  "SCORELINE_CLICKHOUSE_SECURE" (toString $v.clickhouse.secure)
  "SCORELINE_OBSERVE_HOST" "0.0.0.0"
  "SCORELINE_OBSERVE_PORT" "9464"
}}
{{- if $v.kafka.options }}{{ $_ := set $env "SCORELINE_KAFKA_OPTIONS" (toJson $v.kafka.options) }}{{ end }}
{{- if include "scoreline.kafkaCaSecret" .root }}{{ $_ := set $env "SCORELINE_KAFKA_CA" (printf "/run/kafka-ca/%s" $v.kafka.caKey) }}{{ end }}
{{- if $v.clickhouse.caSecret }}{{ $_ := set $env "SCORELINE_CLICKHOUSE_CA" (printf "/run/clickhouse-ca/%s" $v.clickhouse.caKey) }}{{ end }}
{{- if or .secret .isKafkaUser }}{{ $_ := set $env "SCORELINE_SECRETS_DIR" "/run/scoreline" }}{{ end }}
{{- if .isKafkaUser }}
{{- if eq $v.strimzi.users.authentication "tls" }}
{{- $_ := set $env "SCORELINE_KAFKA_CERTIFICATE" "/run/scoreline/kafka.crt" }}
{{- $_ := set $env "SCORELINE_KAFKA_KEY" "/run/scoreline/kafka.key" }}
{{- else }}
{{- $_ := set $env "SCORELINE_KAFKA_USER" (printf "%s-%s" (include "scoreline.name" .root) .component) }}
{{- end }}
{{- end }}
{{- range $name, $value := merge (dict) .values.settings $v.settings }}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) }}{{ $value = toJson $value }}{{ end }}
{{- if kindIs "float64" $value }}{{ $value = ternary (int64 $value | toString) (toString $value) (eq (floor $value) $value) }}{{ end }}
{{- $_ := set $env (printf "SCORELINE_%s" (upper $name)) (toString $value) }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* The pod of a component: (root, component, values, args, port, resources). */ -}}
{{- define "scoreline.pod" -}}
{{- $v := .root.Values }}
{{- $secret := .values.secret | default $v.secret }}
{{- $isKafkaUser := and $v.strimzi.users.enabled (ne .component "migrate") }}
{{- $kafkaCa := include "scoreline.kafkaCaSecret" .root }}
automountServiceAccountToken: false
# Kubernetes would set SCORELINE_GATEWAY_PORT=tcp://… for a Service of that name.
enableServiceLinks: false
{{- with $v.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:{{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:{{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:{{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.graceSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- if .port }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:{{ include "scoreline.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "scoreline.image" .root }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      {{- include "scoreline.environment" (dict "root" .root "component" .component "values" .values "secret" $secret "isKafkaUser" $isKafkaUser) | trim | nindent 6 }}
      {{- if eq .component "worker" }}
      # Static membership: a pod that comes back takes its partitions over at once.
      - name: SCORELINE_INSTANCE_ID
        valueFrom:
          fieldRef:
            fieldPath: metadata.name
      {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    resources:{{ toYaml .resources | nindent 6 }}
    {{- if .port }}
    ports:
      - name: {{ .portName }}
        containerPort: {{ .port }}
    startupProbe:
      httpGet: {path: /healthz, port: {{ .portName }}}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /healthz, port: {{ .portName }}}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: {{ .portName }}}
      periodSeconds: 5
      timeoutSeconds: 3
      failureThreshold: 2
    {{- end }}
    {{- if eq .portName "http" }}
    lifecycle:
      preStop:
        # Load balancers hear of the end while the pod still serves.
        sleep:
          seconds: 5
    {{- end }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if eq .component "worker" }}
      - name: state
        mountPath: /var/lib/scoreline
      {{- end }}
      {{- if or $secret $isKafkaUser }}
      - name: secrets
        mountPath: /run/scoreline
        readOnly: true
      {{- end }}
      {{- if $kafkaCa }}
      - name: kafka-ca
        mountPath: /run/kafka-ca
        readOnly: true
      {{- end }}
      {{- if $v.clickhouse.caSecret }}
      - name: clickhouse-ca
        mountPath: /run/clickhouse-ca
        readOnly: true
      {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ index .resources.limits "ephemeral-storage" | default "64Mi" }}
  {{- if or $secret $isKafkaUser }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- with $secret }}
        - secret:
            name: {{ . }}
        {{- end }}
        {{- if $isKafkaUser }}
        - secret:
            name: {{ include "scoreline.name" .root }}-{{ .component }}
            items:
              {{- if eq $v.strimzi.users.authentication "tls" }}
              - {key: user.crt, path: kafka.crt}
              - {key: user.key, path: kafka.key}
              {{- else }}
              - {key: password, path: SCORELINE_KAFKA_PASSWORD}
              {{- end }}
        {{- end }}
  {{- end }}
  {{- if $kafkaCa }}
  - name: kafka-ca
    secret:
      secretName: {{ $kafkaCa }}
      defaultMode: 0444
      items:
        - {key: {{ $v.kafka.caKey }}, path: {{ $v.kafka.caKey }}}
  {{- end }}
  {{- with $v.clickhouse.caSecret }}
  - name: clickhouse-ca
    secret:
      secretName: {{ . }}
      defaultMode: 0444
      items:
        - {key: {{ $v.clickhouse.caKey }}, path: {{ $v.clickhouse.caKey }}}
  {{- end }}
{{- end }}

{{- /* metadata and selector of what belongs to a component: (root, component). */ -}}
{{- define "scoreline.metadata" -}}
name: {{ include "scoreline.name" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:{{ include "scoreline.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Without the chart's version: another chart alone is no reason to restart. */ -}}
{{- define "scoreline.podMetadata" -}}
labels:{{ include "scoreline.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- with .values.podAnnotations }}
annotations:{{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "scoreline.matchComponent" -}}
matchLabels:{{ include "scoreline.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}
